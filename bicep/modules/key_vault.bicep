// Keys that never leave the vault, and the secrets of others that we have to know.

param location string
param tags object
param name string
@description('premium keeps keys in hardware.')
@allowed([
  'standard'
  'premium'
])
param sku string
param publicAccess string
param workspaceId string
param lock bool

var inHardware = sku == 'premium'
var yearly = {
  attributes: {
    expiryTime: 'P2Y'
  }
  lifetimeActions: [
    {
      trigger: {
        timeAfterCreate: 'P1Y'
      }
      action: {
        type: 'rotate'
      }
    }
    {
      trigger: {
        timeBeforeExpiry: 'P60D'
      }
      action: {
        type: 'notify'
      }
    }
  ]
}
// A log is known by its key: a new one is a decision with an announcement, so this only reminds.
var onRequest = {
  attributes: {
    expiryTime: 'P3Y'
  }
  lifetimeActions: [
    {
      trigger: {
        timeBeforeExpiry: 'P90D'
      }
      action: {
        type: 'notify'
      }
    }
  ]
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: sku
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: publicAccess
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: publicAccess == 'Enabled' ? 'Allow' : 'Deny'
    }
  }
}

@description('Signs the checkpoints of the audit log (ES256, which C2SP notes know).')
resource checkpointKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' = {
  parent: vault
  name: 'audit-checkpoints'
  properties: {
    kty: inHardware ? 'EC-HSM' : 'EC'
    curveName: 'P-256'
    keyOps: [
      'sign'
      'verify'
    ]
    rotationPolicy: onRequest
  }
}

@description('Signs what the witness saw (ES256).')
resource witnessKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' = {
  parent: vault
  name: 'audit-witness'
  properties: {
    kty: inHardware ? 'EC-HSM' : 'EC'
    curveName: 'P-256'
    keyOps: [
      'sign'
      'verify'
    ]
    rotationPolicy: onRequest
  }
}

@description('Wraps the data keys of prompts; old versions unwrap until everything is wrapped anew.')
resource promptKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' = {
  parent: vault
  name: 'prompts'
  properties: {
    kty: inHardware ? 'RSA-HSM' : 'RSA'
    keySize: 3072
    keyOps: [
      'wrapKey'
      'unwrapKey'
    ]
    rotationPolicy: yearly
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

resource keep 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  name: 'keep'
  scope: vault
  properties: {
    level: 'CanNotDelete'
    notes: 'Without these keys prompts stay sealed.'
  }
}

output id string = vault.id
output name string = vault.name
output uri string = vault.properties.vaultUri
output checkpointKeyName string = checkpointKey.name
output witnessKeyName string = witnessKey.name
output promptKeyName string = promptKey.name
