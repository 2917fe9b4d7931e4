// Azure AI Content Safety, which judges what the providers of some models do not. It keeps nothing.

param location string
param tags object
param name string
param publicAccess string
param workspaceId string

resource account 'Microsoft.CognitiveServices/accounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'ContentSafety'
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
  }
}

output id string = account.id
output name string = account.name
output endpoint string = 'https://${name}.cognitiveservices.azure.com'
