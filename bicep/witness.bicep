// The witness of an audit log as a deployment of its own: an app, an identity, an account and a key
// that the platform's operators do not hold. Deploy it where somebody else decides, then tell the
// platform (docs/audit_log.md). Never compiled by its authors: tests/bicep says what was checked.
//
//   az deployment group create --resource-group rg-eig-witness --template-file bicep/witness.bicep

param location string
param tags object = {}
@description('The name that the witness signs under; it never changes.')
param witnessName string
@description('The public key of the log, as a C2SP verifier, got by another way than from its files.')
param logVerifier string
@description('The account with the log and its checkpoints: https://{account}.blob.core.windows.net/')
param logStorageUrl string
@description('The platform\'s app, which may read what the witness saw.')
param appPrincipalId string
@description('A group of people who check the log; empty: nobody yet.')
param auditorsGroupId string = ''
@description('The workspace of whoever runs the witness.')
param workspaceId string
@description('Who is called when the witness refuses or stands still: nobody of the platform.')
@minLength(1)
param operatorEmails array
@allowed([
  '3.11'
  '3.12'
])
param pythonVersion string = '3.12'
param storageSku string = 'Standard_ZRS'
@description('premium keeps the key in hardware.')
@allowed([
  'standard'
  'premium'
])
param vaultSku string = 'premium'
@description('The subnet to reach the log through, if its account is private; empty: none.')
param subnetId string = ''

var token = uniqueString(subscription().id, resourceGroup().id)
var packageContainer = 'app-package'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-witness-${token}'
  location: location
  tags: tags
}

module host 'modules/storage_host.bicep' = {
  name: 'witness-host'
  params: {
    location: location
    tags: tags
    name: 'stwh${token}'
    sku: storageSku
    publicAccess: 'Enabled'
    workspaceId: workspaceId
    packageContainer: packageContainer
    deadLetterContainer: 'undelivered-events'
  }
}

module seen 'modules/storage_evidence.bicep' = {
  name: 'witness-seen'
  params: {
    location: location
    tags: tags
    name: 'stwit${token}'
    sku: storageSku
    publicAccess: 'Enabled'
    lockedContainers: []
    openContainers: [
      'auditwitness'
    ]
    retentionDays: 2557
    policyIsLocked: false
    workspaceId: workspaceId
    lock: true
  }
}

module vault 'modules/witness_key.bicep' = {
  name: 'witness-key'
  params: {
    location: location
    tags: tags
    name: 'kv-wit-${token}'
    sku: vaultSku
    workspaceId: workspaceId
  }
}

module access 'modules/witness_access.bicep' = {
  name: 'witness-access'
  params: {
    witnessPrincipalId: identity.properties.principalId
    appPrincipalId: appPrincipalId
    auditorsGroupId: auditorsGroupId
    hostAccountName: host.outputs.name
    seenAccountName: seen.outputs.name
    vaultName: vault.outputs.name
    keyName: vault.outputs.keyName
  }
}

module app 'modules/function_app.bicep' = {
  name: 'witness-app'
  params: {
    location: location
    tags: tags
    token: 'witness-${token}'
    identityId: identity.id
    taskIdentities: {}
    packageUrl: '${host.outputs.blobUrl}${packageContainer}'
    pythonVersion: pythonVersion
    instancesMax: 40
    instanceMemoryMb: 512
    requestsPerInstance: 1
    alwaysReadyDurable: 0
    alwaysReadyHttp: 0
    zoneRedundant: false
    subnetId: subnetId
    frontDoorId: ''
    settings: {
      AZURE_CLIENT_ID: identity.properties.clientId
      AzureWebJobsStorage__blobServiceUri: host.outputs.blobUrl
      AzureWebJobsStorage__queueServiceUri: host.outputs.queueUrl
      AzureWebJobsStorage__tableServiceUri: host.outputs.tableUrl
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.properties.clientId
      PYTHON_SCRIPT_FILE_NAME: 'witness_app.py'
      EIG_AUDIT_LOG_VERIFIER: logVerifier
      EIG_AUDIT_STORAGE_URL: logStorageUrl
      EIG_CHECKPOINT_STORAGE_URL: logStorageUrl
      EIG_WITNESS_NAME: witnessName
      EIG_WITNESS_VAULT_KEY: '${vault.outputs.uri}keys/${vault.outputs.keyName}'
      EIG_WITNESS_STORAGE_URL: seen.outputs.blobUrl
    }
    workspaceId: workspaceId
  }
  dependsOn: [
    access
  ]
}

module alerts 'modules/witness_alerts.bicep' = {
  name: 'witness-alerts'
  params: {
    location: location
    tags: tags
    token: token
    emails: operatorEmails
    workspaceId: workspaceId
  }
}

// What the platform is told: parameters of main.bicep.
output witnessPrincipalId string = identity.properties.principalId
output witnessStorageUrl string = seen.outputs.blobUrl
output witnessVaultKey string = '${vault.outputs.uri}keys/${vault.outputs.keyName}'
