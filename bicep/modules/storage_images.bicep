// Uploads, plans, pictures and results. Pictures are kept and aged, never locked: erasure must be possible.

param location string
param tags object
param name string
@description('LRS, GRS or RAGRS: the archive tier does not exist in zone-redundant accounts.')
@allowed([
  'Standard_LRS'
  'Standard_GRS'
  'Standard_RAGRS'
])
param sku string
param containers array
@description('Networks that may use upload and download links, in CIDR notation; any: all of them; empty: none.')
param clientNetworks array
@minValue(7)
@maxValue(365)
param softDeleteDays int
@description('Pictures grow cold by their last access, not by their age; the app must be told the same.')
param tiersByAccess bool
param workspaceId string
param lock bool

var anyNetwork = contains(clientNetworks, 'any')

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    // People follow links into this account from their own networks; each link is a short-lived
    // signature, and there is no other way in for them.
    publicNetworkAccess: 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: anyNetwork ? 'Allow' : 'Deny'
      ipRules: [for network in (anyNetwork ? [] : clientNetworks): {
        value: network
        action: 'Allow'
      }]
    }
    sasPolicy: {
      sasExpirationPeriod: '1.00:00:00'
      expirationAction: 'Log'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: true
    changeFeed: {
      enabled: true
      retentionInDays: 30
    }
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    lastAccessTimeTrackingPolicy: {
      enable: true
      name: 'AccessTimeTracking'
      trackingGranularityInDays: 1
      blobType: [
        'blockBlob'
      ]
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [for each in containers: {
  parent: blobs
  name: each
  properties: {
    publicAccess: 'None'
  }
}]

// Access is tracked in any case, so that a switch finds times to go by.
var aging = loadJsonContent('../lifecycle.json')
var rules = [for rule in aging.rules: union(rule, {
  enabled: rule.name == 'pictures-by-age' ? !tiersByAccess : (rule.name == 'pictures-by-last-access' ? tiersByAccess : rule.enabled)
})]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: rules
    }
  }
  dependsOn: [
    blobs
  ]
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource keep 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  name: 'keep'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'Pictures that were paid for.'
  }
}

output id string = account.id
output name string = account.name
output blobUrl string = account.properties.primaryEndpoints.blob
output queueUrl string = account.properties.primaryEndpoints.queue
