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

@description('The audit relay: creates events, and can do nothing else with them.')
resource auditWriter 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-audit-writer-${token}'
  location: location
  tags: tags
}

@description('The sequencer and the readers of the log: read events.')
resource auditReader 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-audit-reader-${token}'
  location: location
  tags: tags
}

@description('The witness: keeps what it saw in an account that nobody else can write to.')
resource witness 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-witness-${token}'
  location: location
  tags: tags
}

output appId string = app.id
output appClientId string = app.properties.clientId
output appPrincipalId string = app.properties.principalId
output auditWriterId string = auditWriter.id
output auditWriterClientId string = auditWriter.properties.clientId
output auditWriterPrincipalId string = auditWriter.properties.principalId
output auditReaderId string = auditReader.id
output auditReaderClientId string = auditReader.properties.clientId
output auditReaderPrincipalId string = auditReader.properties.principalId
output witnessId string = witness.id
output witnessClientId string = witness.properties.clientId
output witnessPrincipalId string = witness.properties.principalId
