// An account of the audit log: some of its containers are written once and kept for years.
//
// A policy is made unlocked here, because Azure Resource Manager cannot lock one: an operator does it
// once (docs/operations.md), sets policyIsLocked, and this template no longer touches the policy.

param location string
param tags object
param name string
param sku string
param publicAccess string
@description('Containers whose blobs can be neither changed nor deleted.')
param lockedContainers array
@description('Containers of what is brought up to date: the sequencer\'s state, the witness\'s memory.')
param openContainers array
@minValue(1)
@maxValue(146000)
param retentionDays int
param policyIsLocked bool
param workspaceId string
param lock bool

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
    publicNetworkAccess: publicAccess
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess == 'Enabled' ? 'Allow' : 'Deny'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    // An older state can be looked at; whatever is locked has one version only.
    isVersioningEnabled: true
    deleteRetentionPolicy: {
      enabled: true
      days: 90
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 90
    }
  }
}

resource locked 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [for name in lockedContainers: {
  parent: blobs
  name: name
  properties: {
    publicAccess: 'None'
  }
}]

resource open 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [for name in openContainers: {
  parent: blobs
  name: name
  properties: {
    publicAccess: 'None'
  }
}]

var policies = policyIsLocked ? [] : lockedContainers

resource policy 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2024-01-01' = [for (name, i) in policies: {
  parent: locked[i]
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: retentionDays
    allowProtectedAppendWrites: false
  }
}]

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
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
    notes: 'Evidence.'
  }
}

output id string = account.id
output name string = account.name
output blobUrl string = account.properties.primaryEndpoints.blob
