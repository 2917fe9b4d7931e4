// The platform in one resource group. Never compiled by its authors: tests/bicep says what was checked.
//
//   az deployment sub what-if --location australiaeast --parameters bicep/params/prod.bicepparam

targetScope = 'subscription'

@minLength(2)
@maxLength(20)
param environmentName string
@description('Where data lives. Policy refuses everything outside Australia but Azure OpenAI.')
@allowed([
  'australiaeast'
  'australiasoutheast'
])
param location string
@description('The second region of the ledger; empty: one region.')
@allowed([
  ''
  'australiaeast'
  'australiasoutheast'
])
param secondLocation string
@description('Where Azure OpenAI lies: no image model can be deployed in Australia.')
param providerLocation string
param tags object = {}

// Who is trusted and who is told
param tokenTenantId string
@description('The application id of the API that callers ask tokens for.')
param tokenAudience string
@description('Application ids of clients that may call; empty: any client of the audience.')
param tokenAuthorizedParties string
param auditorsGroupId string
param operatorEmails array

// How much
@allowed([
  '3.11'
  '3.12'
])
param pythonVersion string
param instancesMax int
param instanceMemoryMb int
param requestsPerInstance int
param alwaysReadyDurable int
param alwaysReadyHttp int
param zoneRedundant bool
param throughputMax int
param imageCapacity int
param imageBatchCapacity int
param imageModelVersion string
param startsPerMinute int
param logRetentionDays int
param logDailyCapGb int
param softDeleteDays int
param backupTier string
param consistency string
param hostSku string
param imagesSku string
param evidenceSku string
param vaultSku string
param evidenceRetentionDays int
param evidencePolicyIsLocked bool

// Which walls
@description('Private endpoints for everything that only the app opens.')
param privateNetwork bool
param addressPrefix string
param clientNetworks array
param frontDoor bool
param requestsPerMinute int
param ddosPlan bool
param defender bool
param sentinel bool
param policies bool
param locks bool

// What it may cost
@allowed([
  'USD'
  'AUD'
])
param billingCurrency string
param monthlyUsd int
param monthlyAud int
param weeklyAud int
param dailyAud int
param budgetStartDate string

var token = uniqueString(subscription().id, environmentName, location)
var allTags = union(tags, {
  'azd-env-name': environmentName
  system: 'eig'
})
var publicAccess = privateNetwork ? 'Disabled' : 'Enabled'
var databaseName = 'eig'
var packageContainer = 'app-package'
var deadLetterContainer = 'undelivered-events'
var evidenceContainer = 'audit-log'
var blobContainers = [
  'uploads'
  'batches'
  'images'
  'results'
  'thumbnails'
]
var zones = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink.documents.azure.com'
  'privatelink.vaultcore.azure.net'
  'privatelink.openai.azure.com'
  'privatelink.cognitiveservices.azure.com'
]

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-eig-${environmentName}'
  location: location
  tags: allTags
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: group
  params: {
    location: location
    tags: allTags
    token: token
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: allTags
    token: token
    retentionDays: logRetentionDays
    dailyCapGb: logDailyCapGb
  }
}

module activityLog 'modules/activity_log.bicep' = {
  name: 'activity-log-${environmentName}'
  params: {
    environmentName: environmentName
    workspaceId: monitoring.outputs.workspaceId
  }
}

module ddos 'modules/ddos.bicep' = if (ddosPlan) {
  name: 'ddos'
  scope: group
  params: {
    location: location
    tags: allTags
    token: token
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    location: location
    tags: allTags
    token: token
    addressSpace: '${addressPrefix}.0.0/16'
    addressPrefix: addressPrefix
    ddosPlanId: ddosPlan ? ddos.outputs.planId : ''
    zones: zones
  }
}

module hostStorage 'modules/storage_host.bicep' = {
  name: 'storage-host'
  scope: group
  params: {
    location: location
    tags: allTags
    name: 'sthost${token}'
    sku: hostSku
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
    packageContainer: packageContainer
    deadLetterContainer: deadLetterContainer
  }
}

module imagesStorage 'modules/storage_images.bicep' = {
  name: 'storage-images'
  scope: group
  params: {
    location: location
    tags: allTags
    name: 'stimg${token}'
    sku: imagesSku
    containers: blobContainers
    clientNetworks: clientNetworks
    softDeleteDays: softDeleteDays
    workspaceId: monitoring.outputs.workspaceId
    lock: locks
  }
}

module evidenceStorage 'modules/storage_evidence.bicep' = {
  name: 'storage-evidence'
  scope: group
  params: {
    location: location
    tags: allTags
    name: 'stev${token}'
    sku: evidenceSku
    publicAccess: publicAccess
    container: evidenceContainer
    retentionDays: evidenceRetentionDays
    policyIsLocked: evidencePolicyIsLocked
    workspaceId: monitoring.outputs.workspaceId
    lock: locks
  }
}

module cosmos 'modules/cosmos.bicep' = {
  name: 'cosmos'
  scope: group
  params: {
    location: location
    secondLocation: secondLocation
    tags: allTags
    name: 'cosmos-eig-${token}'
    databaseName: databaseName
    consistency: consistency
    zoneRedundant: zoneRedundant
    backupTier: backupTier
    throughputMax: throughputMax
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
    lock: locks
  }
}

module vault 'modules/key_vault.bicep' = {
  name: 'key-vault'
  scope: group
  params: {
    location: location
    tags: allTags
    name: 'kv-eig-${token}'
    sku: vaultSku
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
    lock: locks
  }
}

module openAi 'modules/openai.bicep' = {
  name: 'openai'
  scope: group
  params: {
    location: providerLocation
    tags: allTags
    name: 'oai-eig-${token}'
    publicAccess: publicAccess
    modelName: 'gpt-image-2'
    modelVersion: imageModelVersion
    capacity: imageCapacity
    batchCapacity: imageBatchCapacity
    workspaceId: monitoring.outputs.workspaceId
  }
}

module language 'modules/language.bicep' = {
  name: 'language'
  scope: group
  params: {
    location: location
    tags: allTags
    name: 'lang-eig-${token}'
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
  }
}

module mail 'modules/mail.bicep' = {
  name: 'mail'
  scope: group
  params: {
    tags: allTags
    token: token
  }
}

module uploadTopic 'modules/upload_topic.bicep' = {
  name: 'upload-topic'
  scope: group
  params: {
    location: location
    tags: allTags
    token: token
    imagesAccountId: imagesStorage.outputs.id
  }
}

module access 'modules/access.bicep' = {
  name: 'access'
  scope: group
  params: {
    appPrincipalId: identities.outputs.appPrincipalId
    witnessPrincipalId: identities.outputs.witnessPrincipalId
    auditorsGroupId: auditorsGroupId
    topicPrincipalId: uploadTopic.outputs.principalId
    cosmosName: cosmos.outputs.name
    databaseName: databaseName
    hostAccountName: hostStorage.outputs.name
    imagesAccountName: imagesStorage.outputs.name
    evidenceAccountName: evidenceStorage.outputs.name
    deadLetterContainer: deadLetterContainer
    vaultName: vault.outputs.name
    checkpointKeyName: vault.outputs.checkpointKeyName
    promptKeyName: vault.outputs.promptKeyName
    openAiName: openAi.outputs.name
    openAiBatches: imageBatchCapacity > 0
    languageName: language.outputs.name
    communicationName: mail.outputs.name
    insightsName: monitoring.outputs.insightsName
  }
}

var privateDoors = [
  {
    name: 'host-blob'
    resource: hostStorage.outputs.id
    group: 'blob'
    zone: zones[0]
  }
  {
    name: 'host-queue'
    resource: hostStorage.outputs.id
    group: 'queue'
    zone: zones[1]
  }
  {
    name: 'host-table'
    resource: hostStorage.outputs.id
    group: 'table'
    zone: zones[2]
  }
  {
    name: 'images-blob'
    resource: imagesStorage.outputs.id
    group: 'blob'
    zone: zones[0]
  }
  {
    name: 'images-queue'
    resource: imagesStorage.outputs.id
    group: 'queue'
    zone: zones[1]
  }
  {
    name: 'evidence-blob'
    resource: evidenceStorage.outputs.id
    group: 'blob'
    zone: zones[0]
  }
  {
    name: 'cosmos'
    resource: cosmos.outputs.id
    group: 'Sql'
    zone: zones[3]
  }
  {
    name: 'vault'
    resource: vault.outputs.id
    group: 'vault'
    zone: zones[4]
  }
  {
    name: 'openai'
    resource: openAi.outputs.id
    group: 'account'
    zone: zones[5]
  }
  {
    name: 'language'
    resource: language.outputs.id
    group: 'account'
    zone: zones[6]
  }
]
