// The platform in one resource group. Never compiled by its authors: tests/bicep says what was checked.
//
//   az deployment sub what-if --location australiaeast --parameters bicep/params/prod.bicepparam

targetScope = 'subscription'

@minLength(2)
@maxLength(20)
param environmentName string
@description('Where the app runs. It moves when a region is lost; homeLocation stays.')
@allowed([
  'australiaeast'
  'australiasoutheast'
])
param location string
@description('Where data was first put, and its keys and identities: it never changes. Policy refuses everything outside Australia but Azure OpenAI.')
@allowed([
  'australiaeast'
  'australiasoutheast'
])
param homeLocation string
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
@description('The ledger\'s account; empty: the one that the template makes. Set after a restore.')
param cosmosAccountName string = ''

// Who is trusted and who is told
@minLength(1)
param tokenTenantId string
@description('The application id of the API that callers ask tokens for.')
@minLength(1)
param tokenAudience string
@description('Application ids of clients that may call; none: no client; empty: any client of the audience.')
param tokenAuthorizedParties string
@description('Further issuers as a JSON list, docs/identity.md.')
param tokenIssuers string = '[]'
@description('The authentication context that sensitive requests need, c1 to c99; empty: none.')
param stepUpContext string = ''
@description('How many seconds ago the sign-in may be for sensitive requests; empty: any time.')
param stepUpAgeMaxSeconds string = ''
@description('https://host of the app as browsers see it; empty: no browser signs in.')
param publicOrigin string = ''
@description('Origins whose pages may call the API with a token of their own, with spaces; empty: none.')
param corsOrigins string = ''
@description('The application id that browsers sign in with; its secret is in the vault, sign-in-client-secret.')
param signInClientId string = ''
@description('SHA-256 of the secret that names the first Super Admin; empty: people are seeded.')
param bootstrapHash string = ''
@description('SHA-256 of each token that may provision people, with spaces; empty: nobody provisions.')
param scimTokenHashes string = ''
@description('The department of provisioned people whose own is not known.')
param scimDepartment string = ''
@description('government: a session is locked after 15 minutes; needs the lists of clients and the step-up settings.')
@allowed([
  'standard'
  'government'
])
param sessionProfile string = 'standard'
@description('The name that the audit log signs under; it never changes.')
@minLength(1)
param auditLogOrigin string
@description('The log\'s public key as a C2SP verifier; empty at the first deployment, before the key exists.')
param auditLogVerifier string
param auditorsGroupId string
@description('Who may run shared.seed and shared.rotate_keys, a group; empty: nobody.')
param operatorsGroupId string = ''
@description('The witness runs in an app of its own (witness.bicep), best in a subscription of somebody else.')
param witnessApart bool = false
@description('Of such a witness: its identity, which may then read the log.')
param witnessPrincipalId string = ''
@description('Of such a witness: its public key as a C2SP verifier.')
param witnessVerifier string = ''
@description('Of such a witness: the account in which it keeps what it saw, readable for the app.')
param witnessStorageUrl string = ''
@minLength(1)
param operatorEmails array
@description('Further settings of the app, EIG_ names to texts; what the template itself sets wins.')
param extraSettings object = {}
@description('Development only: extraSettings may name other issuers and providers, which are simulated. Without effect where the network is private.')
param trustsSimulators bool = false

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
@description('An Azure AI Foundry resource with FLUX deployments, made by hand; empty: its models are not on offer.')
param foundryEndpoint string = ''
@description('The scoring address of azureml/endpoint.yml, deployed by hand; empty: its model is not on offer.')
param scoringUrl string = ''
@description('Over the defaults, such as "violence=2 hate=off".')
param contentSafetyRefusedFrom string = ''
@description('Names of blocklists in Content Safety.')
param contentSafetyBlocklists string = ''
param logRetentionDays int
param logDailyCapGb int
param softDeleteDays int
@description('Pictures grow cold by their last access, not by their age: docs/storage.md.')
param tiersByAccess bool
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
@description('Networks from which links to pictures work, in CIDR notation; any: all of them; empty: none.')
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
@minLength(1)
param budgetStartDate string
@description('A cost export of the Azure OpenAI account exists, its address with its signature in the vault.')
param costExport bool

// Of what moves with the app, and of what stays: data, keys, identities, the public address.
var token = uniqueString(subscription().id, environmentName, location)
var homeToken = uniqueString(subscription().id, environmentName, homeLocation)
var allTags = union(tags, {
  'azd-env-name': environmentName
  system: 'eig'
})
var publicAccess = privateNetwork ? 'Disabled' : 'Enabled'
var databaseName = 'eig'
var packageContainer = 'app-package'
var deadLetterContainer = 'undelivered-events'
var lockedContainers = [
  'auditlog'
  'auditcheckpoints'
]
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
  location: homeLocation
  tags: allTags
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: group
  params: {
    location: homeLocation
    tags: allTags
    token: homeToken
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
    location: homeLocation
    tags: allTags
    name: 'stimg${homeToken}'
    sku: imagesSku
    containers: blobContainers
    clientNetworks: clientNetworks
    softDeleteDays: softDeleteDays
    tiersByAccess: tiersByAccess
    workspaceId: monitoring.outputs.workspaceId
    lock: locks
  }
}

module evidenceStorage 'modules/storage_evidence.bicep' = {
  name: 'storage-evidence'
  scope: group
  params: {
    location: homeLocation
    tags: allTags
    name: 'stev${homeToken}'
    sku: evidenceSku
    publicAccess: publicAccess
    lockedContainers: lockedContainers
    openContainers: [
      'auditstate'
    ]
    retentionDays: evidenceRetentionDays
    policyIsLocked: evidencePolicyIsLocked
    workspaceId: monitoring.outputs.workspaceId
    lock: locks
  }
}

module witnessStorage 'modules/storage_evidence.bicep' = if (!witnessApart) {
  name: 'storage-witness'
  scope: group
  params: {
    location: homeLocation
    tags: allTags
    name: 'stwit${homeToken}'
    sku: evidenceSku
    publicAccess: publicAccess
    lockedContainers: []
    openContainers: [
      'auditwitness'
    ]
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
    homeLocation: homeLocation
    location: location
    secondLocation: secondLocation
    tags: allTags
    name: empty(cosmosAccountName) ? 'cosmos-eig-${homeToken}' : cosmosAccountName
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
    location: homeLocation
    tags: allTags
    name: 'kv-eig-${homeToken}'
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
    name: 'oai-eig-${homeToken}'
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
    location: homeLocation
    tags: allTags
    name: 'lang-eig-${homeToken}'
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
  }
}

module contentSafety 'modules/content_safety.bicep' = {
  name: 'content-safety'
  scope: group
  params: {
    location: homeLocation
    tags: allTags
    name: 'safe-eig-${homeToken}'
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
  }
}

module mail 'modules/mail.bicep' = {
  name: 'mail'
  scope: group
  params: {
    tags: allTags
    token: homeToken
  }
}

module uploadTopic 'modules/upload_topic.bicep' = {
  name: 'upload-topic'
  scope: group
  params: {
    location: homeLocation
    tags: allTags
    token: homeToken
    imagesAccountId: imagesStorage.outputs.id
  }
}

module access 'modules/access.bicep' = {
  name: 'access'
  scope: group
  params: {
    appPrincipalId: identities.outputs.appPrincipalId
    auditWriterPrincipalId: identities.outputs.auditWriterPrincipalId
    auditReaderPrincipalId: identities.outputs.auditReaderPrincipalId
    witnessPrincipalId: witnessApart ? witnessPrincipalId : identities.outputs.witnessPrincipalId
    witnessApart: witnessApart
    auditorsGroupId: auditorsGroupId
    operatorsGroupId: operatorsGroupId
    topicPrincipalId: uploadTopic.outputs.principalId
    cosmosName: cosmos.outputs.name
    databaseName: databaseName
    hostAccountName: hostStorage.outputs.name
    imagesAccountName: imagesStorage.outputs.name
    evidenceAccountName: evidenceStorage.outputs.name
    witnessAccountName: witnessApart ? '' : witnessStorage.outputs.name
    deadLetterContainer: deadLetterContainer
    vaultName: vault.outputs.name
    checkpointKeyName: vault.outputs.checkpointKeyName
    witnessKeyName: vault.outputs.witnessKeyName
    promptKeyName: vault.outputs.promptKeyName
    openAiName: openAi.outputs.name
    openAiBatches: imageBatchCapacity > 0
    languageName: language.outputs.name
    contentSafetyName: contentSafety.outputs.name
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
  {
    name: 'content-safety'
    resource: contentSafety.outputs.id
    group: 'account'
    zone: zones[6]
  }
]

var witnessDoors = witnessApart ? [] : [
  {
    name: 'witness-blob'
    resource: witnessStorage.outputs.id
    group: 'blob'
    zone: zones[0]
  }
]

module privateEndpoints 'modules/private_endpoints.bicep' = if (privateNetwork) {
  name: 'private-endpoints'
  scope: group
  params: {
    location: location
    tags: allTags
    token: token
    subnetId: network.outputs.endpointSubnetId
    doors: concat(privateDoors, witnessDoors)
  }
}

module frontDoorProfile 'modules/front_door_profile.bicep' = if (frontDoor) {
  name: 'front-door-profile'
  scope: group
  params: {
    tags: allTags
    token: homeToken
  }
}

// Every setting of the app that has no usable default; tests compare them with shared/settings.py.
// A deployment replaces all settings of the app: one that is not here or in extraSettings is gone.
var secretsUrl = '${vault.outputs.uri}secrets'
var keysUrl = '${vault.outputs.uri}keys'
var hostSettings = {
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identities.outputs.appClientId};Authorization=AAD'
  APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL: 'true'
  AZURE_CLIENT_ID: identities.outputs.appClientId
  AZURE_FUNCTIONS_DURABLE_STRICT_TYPING: '1'
  AzureWebJobsStorage__blobServiceUri: hostStorage.outputs.blobUrl
  AzureWebJobsStorage__queueServiceUri: hostStorage.outputs.queueUrl
  AzureWebJobsStorage__tableServiceUri: hostStorage.outputs.tableUrl
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identities.outputs.appClientId
}
var ownSettings = {
  EIG_STORAGE__blobServiceUri: imagesStorage.outputs.blobUrl
  EIG_STORAGE__queueServiceUri: imagesStorage.outputs.queueUrl
  EIG_STORAGE__credential: 'managedidentity'
  EIG_STORAGE__clientId: identities.outputs.appClientId
  EIG_COSMOS_ENDPOINT: cosmos.outputs.endpoint
  EIG_COSMOS_DATABASE: databaseName
  EIG_STORAGE_TRACKS_ACCESS: tiersByAccess ? 'true' : 'false'
  EIG_AUDIT_WRITER_IDENTITY: identities.outputs.auditWriterClientId
  EIG_AUDIT_READER_IDENTITY: identities.outputs.auditReaderClientId
  EIG_AUDIT_LOG_ORIGIN: auditLogOrigin
  EIG_AUDIT_LOG_VAULT_KEY: '${keysUrl}/${vault.outputs.checkpointKeyName}'
  EIG_AUDIT_LOG_VERIFIER: auditLogVerifier
  EIG_AUDIT_STORAGE_URL: evidenceStorage.outputs.blobUrl
  EIG_CHECKPOINT_STORAGE_URL: evidenceStorage.outputs.blobUrl
  EIG_WITNESS_NAME: '${auditLogOrigin}/witness'
  EIG_WITNESS_VAULT_KEY: witnessApart ? '' : '${keysUrl}/${vault.outputs.witnessKeyName}'
  EIG_WITNESS_IDENTITY: witnessApart ? '' : identities.outputs.witnessClientId
  EIG_WITNESS_STORAGE_URL: witnessApart ? witnessStorageUrl : witnessStorage.outputs.blobUrl
  EIG_WITNESS_VERIFIER: witnessApart ? witnessVerifier : ''
  EIG_FIELD_KEY_URL: '${keysUrl}/${vault.outputs.promptKeyName}'
  EIG_PRIVACY_KEY: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/privacy-key)'
  EIG_CONTENT_SAFETY_REFUSED_FROM: contentSafetyRefusedFrom
  EIG_TOKEN_ISSUERS: tokenIssuers
  EIG_PUBLIC_ORIGIN: publicOrigin
  EIG_CORS_ORIGINS: corsOrigins
  EIG_SESSION_PROFILE: sessionProfile
  EIG_RECEIPT_KEYS: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/receipt-keys)'
  EIG_END_USER_SALT: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/end-user-salt)'
  EIG_MAIL_CONNECTION: 'endpoint=${mail.outputs.endpoint}'
  EIG_MAIL_SENDER: mail.outputs.sender
  EIG_TELEMETRY_CONNECTION: monitoring.outputs.connectionString
}
// Whom the app believes and who works for it: the only ones of these that simulators may stand in for,
// and never behind private endpoints.
var outsideSettings = {
  EIG_LANGUAGE_ENDPOINT: language.outputs.endpoint
  EIG_CONTENT_SAFETY_ENDPOINT: contentSafety.outputs.endpoint
  EIG_CONTENT_SAFETY_BLOCKLISTS: contentSafetyBlocklists
  EIG_AZURE_FOUNDRY_ENDPOINT: foundryEndpoint
  EIG_AZURE_ML_SCORING_URL: scoringUrl
  EIG_TOKEN_ISSUER: '${environment().authentication.loginEndpoint}${tokenTenantId}/v2.0'
  EIG_TOKEN_TENANT_ID: tokenTenantId
  EIG_TOKEN_AUDIENCE: tokenAudience
  EIG_TOKEN_AUTHORIZED_PARTIES: tokenAuthorizedParties
  EIG_STEP_UP_CONTEXT: stepUpContext
  EIG_STEP_UP_AGE_MAX_S: stepUpAgeMaxSeconds
  EIG_SIGN_IN_CLIENT_ID: signInClientId
  EIG_SIGN_IN_CLIENT_SECRET: empty(signInClientId) ? '' : '${secretsUrl}/sign-in-client-secret'
  EIG_BOOTSTRAP_SECRET_HASH: bootstrapHash
  EIG_SCIM_TOKEN_HASHES: scimTokenHashes
  EIG_SCIM_DEPARTMENT: scimDepartment
  EIG_AZURE_OPENAI_ENDPOINT: openAi.outputs.endpoint
  EIG_AZURE_OPENAI_BATCH_DEPLOYMENT: openAi.outputs.batchDeploymentName
  EIG_AZURE_OPENAI_STARTS_PER_MINUTE: string(startsPerMinute)
  EIG_REPLICATE_TOKEN: '${secretsUrl}/replicate-token'
}
var witnessSettings = witnessApart ? {
  'AzureWebJobs.AuditWitness.Disabled': 'true'
} : {}
var exportSettings = costExport ? {
  EIG_AZURE_OPENAI_EXPORT_URL: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/azure-cost-export)'
} : {}

module app 'modules/function_app.bicep' = {
  name: 'function-app'
  scope: group
  params: {
    location: location
    tags: allTags
    token: token
    identityId: identities.outputs.appId
    taskIdentities: union({
      '${identities.outputs.auditWriterId}': {}
      '${identities.outputs.auditReaderId}': {}
    }, witnessApart ? {} : {
      '${identities.outputs.witnessId}': {}
    })
    packageUrl: '${hostStorage.outputs.blobUrl}${packageContainer}'
    pythonVersion: pythonVersion
    instancesMax: instancesMax
    instanceMemoryMb: instanceMemoryMb
    requestsPerInstance: requestsPerInstance
    alwaysReadyDurable: alwaysReadyDurable
    alwaysReadyHttp: alwaysReadyHttp
    zoneRedundant: zoneRedundant
    subnetId: privateNetwork ? network.outputs.appSubnetId : ''
    frontDoorId: frontDoor ? frontDoorProfile.outputs.frontDoorId : ''
    settings: union(trustsSimulators && !privateNetwork ? union(outsideSettings, extraSettings) : union(extraSettings, outsideSettings), hostSettings, ownSettings, exportSettings, witnessSettings)
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    access
    privateEndpoints
  ]
}

module frontDoorRoutes 'modules/front_door.bicep' = if (frontDoor) {
  name: 'front-door'
  scope: group
  params: {
    tags: allTags
    token: homeToken
    profileName: frontDoorProfile.outputs.name
    appHostName: app.outputs.hostName
    requestsPerMinute: requestsPerMinute
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: allTags
    token: token
    emails: operatorEmails
    insightsId: monitoring.outputs.insightsId
    workspaceId: monitoring.outputs.workspaceId
    cosmosId: cosmos.outputs.id
    dailyAud: dailyAud
  }
}

module budgets 'modules/budgets.bicep' = {
  name: 'budgets'
  scope: group
  params: {
    billingCurrency: billingCurrency
    monthlyUsd: monthlyUsd
    monthlyAud: monthlyAud
    startDate: budgetStartDate
    emails: operatorEmails
    actionGroupId: alerts.outputs.operatorsId
  }
}

module defenderPlans 'modules/defender.bicep' = if (defender) {
  name: 'defender-${environmentName}'
}

module policyDefinitions 'modules/policy_definitions.bicep' = if (policies) {
  name: 'policy-definitions-${environmentName}'
  params: {
    environmentName: environmentName
  }
}

module policy 'modules/policy.bicep' = if (policies) {
  name: 'policy'
  scope: group
  params: {
    allowedLocations: [
      'australiaeast'
      'australiasoutheast'
    ]
    locationDefinitionId: policyDefinitions.outputs.placesId
    providerLocation: providerLocation
  }
}

module sentinelRules 'modules/sentinel.bicep' = if (sentinel) {
  name: 'sentinel'
  scope: group
  params: {
    workspaceName: monitoring.outputs.workspaceName
    weeklyAud: weeklyAud
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output SERVICE_APP_NAME string = app.outputs.name
output EIG_APP_HOST string = app.outputs.hostName
output EIG_PUBLIC_HOST string = frontDoor ? frontDoorRoutes.outputs.hostName : app.outputs.hostName
output EIG_UPLOAD_TOPIC string = uploadTopic.outputs.name
output EIG_HOST_ACCOUNT string = hostStorage.outputs.name
output EIG_DEAD_LETTERS string = deadLetterContainer
output EIG_EVIDENCE_ACCOUNT string = evidenceStorage.outputs.name
output EIG_EVIDENCE_CONTAINERS array = lockedContainers
output EIG_VAULT string = vault.outputs.name
output EIG_COSMOS string = cosmos.outputs.name
