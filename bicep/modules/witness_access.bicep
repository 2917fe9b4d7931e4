// Who may do what in the deployment of a witness; the platform's own roles stand in access.bicep.
//
//   identity   may                                    where
//   witness    keep what it saw                       its account
//   witness    sign                                   its key
//   witness    everything that the host needs         its host account
//   app        read what the witness saw              the witness's account
//   auditors   read what the witness saw              the witness's account

param witnessPrincipalId string
param appPrincipalId string
param auditorsGroupId string
param hostAccountName string
param seenAccountName string
param vaultName string
param keyName string

var roles = 'Microsoft.Authorization/roleDefinitions'
var builtIn = {
  blobOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  blobReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  queueContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  tableContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}
var blobs = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'

resource keeps 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'eig-witness')
  properties: {
    roleName: 'eig-witness-${uniqueString(resourceGroup().id)}'
    description: 'Reads and writes what the witness saw, deletes nothing.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/read'
        ]
        notActions: []
        dataActions: [
          '${blobs}/read'
          '${blobs}/write'
          '${blobs}/add/action'
        ]
        notDataActions: []
      }
    ]
  }
}

resource signs 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'eig-signer')
  properties: {
    roleName: 'eig-signer-${uniqueString(resourceGroup().id)}'
    description: 'Signs with a key and shows its public part.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          'Microsoft.KeyVault/vaults/keys/read'
          'Microsoft.KeyVault/vaults/keys/sign/action'
        ]
        notDataActions: []
      }
    ]
  }
}

resource host 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: hostAccountName
}

resource witnessOnHost 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  builtIn.blobOwner
  builtIn.queueContributor
  builtIn.tableContributor
]: {
  name: guid(host.id, 'witness', role)
  scope: host
  properties: {
    principalId: witnessPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, role)
  }
}]

resource seen 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: seenAccountName
}

resource witnessOnSeen 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(seen.id, 'witness', 'eig-witness')
  scope: seen
  properties: {
    principalId: witnessPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, keeps.name)
  }
}

resource appOnSeen 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(seen.id, 'app', builtIn.blobReader)
  scope: seen
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.blobReader)
  }
}

resource auditorsOnSeen 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(auditorsGroupId)) {
  name: guid(seen.id, 'auditors', builtIn.blobReader)
  scope: seen
  properties: {
    principalId: auditorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.blobReader)
  }
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource key 'Microsoft.KeyVault/vaults/keys@2023-07-01' existing = {
  parent: vault
  name: keyName
}

resource witnessSigns 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(key.id, 'witness', 'eig-signer')
  scope: key
  properties: {
    principalId: witnessPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, signs.name)
  }
}
