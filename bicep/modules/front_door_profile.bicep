// The Front Door profile alone: the app admits only requests that carry its id.

param tags object
param token string

resource profile 'Microsoft.Cdn/profiles@2025-04-15' = {
  name: 'afd-${token}'
  location: 'global'
  tags: tags
  sku: {
    name: 'Premium_AzureFrontDoor'
  }
  properties: {
    originResponseTimeoutSeconds: 240
  }
}

output name string = profile.name
output frontDoorId string = profile.properties.frontDoorId
