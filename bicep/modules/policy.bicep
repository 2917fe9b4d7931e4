// What Azure refuses in this resource group, whoever asks.

@description('Where resources may lie.')
param allowedLocations array
param locationDefinitionId string
@description('Where the Azure OpenAI account may lie besides.')
param providerLocation string

var definitions = 'Microsoft.Authorization/policyDefinitions'
var denials = [
  {
    name: 'no-shared-keys'
    title: 'Storage accounts accept no shared keys'
    id: '8c6a50c6-9ffd-4ae7-986f-5fa6111f9a54'
  }
  {
    name: 'no-cosmos-keys'
    title: 'Cosmos DB accounts accept no keys'
    id: '5450f5bd-9c72-4390-a9c4-a7aba4edfdd2'
  }
  {
    name: 'no-purge'
    title: 'Key vaults cannot be purged'
    id: '0b60c0b2-2dc2-4e1c-b5c9-abbed971de53'
  }
]

resource places 'Microsoft.Authorization/policyAssignments@2024-04-01' = {
  name: 'places'
  properties: {
    displayName: 'Resources lie in Australia, Azure OpenAI where its models are'
    policyDefinitionId: locationDefinitionId
    enforcementMode: 'Default'
    parameters: {
      allowedLocations: {
        value: allowedLocations
      }
      providerLocation: {
        value: providerLocation
      }
    }
  }
}

resource denial 'Microsoft.Authorization/policyAssignments@2024-04-01' = [for each in denials: {
  name: each.name
  properties: {
    displayName: each.title
    policyDefinitionId: tenantResourceId(definitions, each.id)
    enforcementMode: 'Default'
    parameters: {
      effect: {
        value: 'Deny'
      }
    }
  }
}]
