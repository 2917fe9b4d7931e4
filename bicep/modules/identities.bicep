// Who acts. What each of them may do stands in access.bicep and nowhere else.

param location string
param tags object
param token string

@description('The functions app: everything that a request or a timer does.')
resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-app-${token}'
  location: location
  tags: tags
}

@description('The witness of the audit log: sees checkpoints, never the ledger.')
resource witness 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-witness-${token}'
  location: location
  tags: tags
}

output appId string = app.id
output appClientId string = app.properties.clientId
output appPrincipalId string = app.properties.principalId
output witnessPrincipalId string = witness.properties.principalId
