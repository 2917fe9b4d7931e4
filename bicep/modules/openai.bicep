// Azure OpenAI: one deployment for requests, one of the type Global Batch for rows that may wait.
//
// No image model can be deployed in Australia, and Global deployments may process anywhere: the
// account lies in providerLocation, and residency policies of departments keep work away from it.

param location string
param tags object
param name string
param publicAccess string
param modelName string
param modelVersion string
@description('Requests a minute in units of the model\'s quota.')
param capacity int
@description('Quota of the batch deployment; 0: no such deployment, rows never wait.')
param batchCapacity int
param workspaceId string

resource account 'Microsoft.CognitiveServices/accounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'OpenAI'
  sku: {
    name: 'S0'
  }
  properties: {
    customSubDomainName: name
    disableLocalAuth: true
    publicNetworkAccess: publicAccess
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess == 'Enabled' ? 'Allow' : 'Deny'
    }
    restrictOutboundNetworkAccess: true
    allowedFqdnList: []
  }
}

resource deployment 'Microsoft.CognitiveServices/accounts/deployments@2025-06-01' = {
  parent: account
  name: modelName
  sku: {
    name: 'GlobalStandard'
    capacity: capacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: modelName
      version: modelVersion
    }
    raiPolicyName: 'Microsoft.DefaultV2'
    versionUpgradeOption: 'NoAutoUpgrade'
  }
}

// After the other one: an account changes one deployment at a time.
resource batchDeployment 'Microsoft.CognitiveServices/accounts/deployments@2025-06-01' = if (batchCapacity > 0) {
  parent: account
  name: '${modelName}-batch'
  sku: {
    name: 'GlobalBatch'
    capacity: batchCapacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: modelName
      version: modelVersion
    }
    raiPolicyName: 'Microsoft.DefaultV2'
    versionUpgradeOption: 'NoAutoUpgrade'
  }
  dependsOn: [
    deployment
  ]
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: account
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'Audit'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output id string = account.id
output name string = account.name
output endpoint string = 'https://${name}.openai.azure.com'
output batchDeploymentName string = batchCapacity > 0 ? '${modelName}-batch' : ''
