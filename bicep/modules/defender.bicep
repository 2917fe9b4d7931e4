// Microsoft Defender for Cloud on what holds data or keys. It is a setting of the whole subscription.

targetScope = 'subscription'

var plans = [
  {
    name: 'StorageAccounts'
    subPlan: 'DefenderForStorageV2'
  }
  {
    name: 'KeyVaults'
    subPlan: 'PerKeyVault'
  }
  {
    name: 'Arm'
    subPlan: 'PerSubscription'
  }
]

var plainPlans = [
  'AI'
  'AppServices'
  'CosmosDbs'
]

// One at a time: the service refuses changes that overlap.
@batchSize(1)
resource plan 'Microsoft.Security/pricings@2024-01-01' = [for each in plans: {
  name: each.name
  properties: {
    pricingTier: 'Standard'
    subPlan: each.subPlan
  }
}]

@batchSize(1)
resource plainPlan 'Microsoft.Security/pricings@2024-01-01' = [for name in plainPlans: {
  name: name
  properties: {
    pricingTier: 'Standard'
  }
  dependsOn: [
    plan
  ]
}]
