// Who may do what: every role and every assignment of the platform stands in this file.
//
//   identity      may                                                        where
//   audit-writer  create events, nothing else                                Cosmos DB, audit
//   audit-reader  read and query events                                      Cosmos DB, audit
//   app           create, read, patch, delete and query documents            Cosmos DB, all but audit
//   app           read, find, write, tag blobs, sign links; delete nothing   images account
//   app           use queues for uploads that failed                         images account
//   app           everything that the Functions host needs                   host account
//   app           read and write blobs; locked containers refuse changes     evidence account
//   app           read secrets; sign checkpoints; wrap and unwrap data keys  Key Vault
//   app           make images; upload files of batches                       Azure OpenAI
//   app           find personal data                                         AI Language
//   app           judge texts and pictures                                   Content Safety
//   app           send mail                                                  Communication Services
//   app           publish telemetry                                          Application Insights
//   witness       keep what it saw; sign it; unless apart, the app reads     witness account, Key Vault
//                 what it saw and shows its public key by this identity
//   witness apart read the log                                               evidence account
//   auditors      read events; read the log                                  audit, both log accounts
//   operators     by our commands: enter departments and people with their   Cosmos DB: ledger, directory,
//                 budgets and keys; wrap data keys anew                      keys; one key of Key Vault
//   topic         keep events that could not be delivered                    host account
//
// Nobody has a key: local authentication is off everywhere. The roles of Cosmos DB know no denial, so
// the app must never be given a role that reaches further than its container.

param appPrincipalId string
param auditWriterPrincipalId string
param auditReaderPrincipalId string
param witnessPrincipalId string
@description('The witness runs in an app of its own, and keeps what it saw in its own place.')
param witnessApart bool
@description('A group of people who check the log; empty: nobody yet.')
param auditorsGroupId string
@description('A group of people who run shared.seed and shared.rotate_keys; empty: nobody may.')
param operatorsGroupId string
param topicPrincipalId string
param cosmosName string
param databaseName string
param hostAccountName string
param imagesAccountName string
param evidenceAccountName string
param witnessAccountName string
param deadLetterContainer string
param vaultName string
param checkpointKeyName string
param witnessKeyName string
param promptKeyName string
param openAiName string
@description('Files and batches need a wider role than requests.')
param openAiBatches bool
param languageName string
param contentSafetyName string
param communicationName string
param insightsName string

// Cosmos DB: roles of the data plane

var cosmosActions = 'Microsoft.DocumentDB/databaseAccounts'
var items = '${cosmosActions}/sqlDatabases/containers/items'
var queries = [
  '${cosmosActions}/sqlDatabases/containers/executeQuery'
  '${cosmosActions}/sqlDatabases/containers/readChangeFeed'
]
var cosmosRoles = [
  {
    name: 'audit-writer'
    actions: [
      '${cosmosActions}/readMetadata'
      '${items}/create'
    ]
  }
  {
    name: 'audit-reader'
    actions: concat([
      '${cosmosActions}/readMetadata'
      '${items}/read'
    ], queries)
  }
  {
    name: 'documents'
    actions: concat([
      '${cosmosActions}/readMetadata'
      '${items}/create'
      '${items}/read'
      '${items}/replace'
      '${items}/delete'
    ], queries)
  }
]
var appGrants = [
  {
    who: 'audit-writer'
    principal: auditWriterPrincipalId
    role: 'audit-writer'
    container: 'audit'
  }
  {
    who: 'audit-reader'
    principal: auditReaderPrincipalId
    role: 'audit-reader'
    container: 'audit'
  }
  {
    who: 'app'
    principal: appPrincipalId
    role: 'documents'
    container: 'ledger'
  }
  {
    who: 'app'
    principal: appPrincipalId
    role: 'documents'
    container: 'keys'
  }
  {
    who: 'app'
    principal: appPrincipalId
    role: 'documents'
    container: 'sessions'
  }
  {
    who: 'app'
    principal: appPrincipalId
    role: 'documents'
    container: 'limits'
  }
  {
    who: 'app'
    principal: appPrincipalId
    role: 'documents'
    container: 'directory'
  }
]
var auditorGrants = empty(auditorsGroupId) ? [] : [
  {
    who: 'auditors'
    principal: auditorsGroupId
    role: 'audit-reader'
    container: 'audit'
  }
]

// What shared.seed and shared.rotate_keys write; their audit events wait there until the app copies them.
var operatorGrants = empty(operatorsGroupId) ? [] : [
  {
    who: 'operators'
    principal: operatorsGroupId
    role: 'documents'
    container: 'ledger'
  }
  {
    who: 'operators'
    principal: operatorsGroupId
    role: 'documents'
    container: 'directory'
  }
  {
    who: 'operators'
    principal: operatorsGroupId
    role: 'documents'
    container: 'keys'
  }
]

resource cosmos 'Microsoft.DocumentDB/databaseAccounts@2024-11-15' existing = {
  name: cosmosName
}

resource cosmosRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2024-11-15' = [for role in cosmosRoles: {
  parent: cosmos
  name: guid(cosmos.id, role.name)
  properties: {
    roleName: 'eig-${role.name}'
    type: 'CustomRole'
    assignableScopes: [
      cosmos.id
    ]
    permissions: [
      {
        dataActions: role.actions
      }
    ]
  }
}]

resource cosmosGrant 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-11-15' = [for grant in concat(appGrants, auditorGrants, operatorGrants): {
  parent: cosmos
  name: guid(cosmos.id, grant.who, grant.role, grant.container)
  properties: {
    principalId: grant.principal
    roleDefinitionId: '${cosmos.id}/sqlRoleDefinitions/${guid(cosmos.id, grant.role)}'
    scope: '${cosmos.id}/dbs/${databaseName}/colls/${grant.container}'
  }
  dependsOn: [
    cosmosRole
  ]
}]

// Storage: roles of our own, because the built-in ones delete

var blobs = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'
var storageRoles = [
  {
    name: 'eig-pictures'
    description: 'Reads, finds, writes, tags and re-tiers blobs and signs links; deletes nothing.'
    actions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/read'
      'Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action'
    ]
    dataActions: [
      '${blobs}/read'
      '${blobs}/write'
      '${blobs}/add/action'
      '${blobs}/tags/read'
      '${blobs}/tags/write'
      '${blobs}/filter/action'
    ]
  }
  {
    name: 'eig-evidence'
    description: 'Reads and writes blobs of the log, deletes none; a policy keeps most of them as they are.'
    actions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/read'
    ]
    dataActions: [
      '${blobs}/read'
      '${blobs}/write'
      '${blobs}/add/action'
    ]
  }
]

resource storageRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [for role in storageRoles: {
  name: guid(resourceGroup().id, role.name)
  properties: {
    roleName: '${role.name}-${uniqueString(resourceGroup().id)}'
    description: role.description
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: role.actions
        notActions: []
        dataActions: role.dataActions
        notDataActions: []
      }
    ]
  }
}]

// Key Vault: of the built-in roles, those that sign may also change, back up and restore keys

resource signerRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'eig-signer')
  properties: {
    roleName: 'eig-signer-${uniqueString(resourceGroup().id)}'
    description: 'Signs with a key and shows its public part.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          'Microsoft.KeyVault/vaults/keys/read'
          'Microsoft.KeyVault/vaults/keys/sign/action'
        ]
        notDataActions: []
      }
    ]
  }
}

// Azure: assignments by resource

var builtIn = {
  blobContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  blobOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  blobReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  queueContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  tableContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  secretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  wrapUser: 'e147488a-f6f5-4113-8e2d-b22465e65bf6'
  openAiUser: '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'
  openAiContributor: 'a001fd3d-188f-4b5d-821b-7da978bf7442'
  languageReader: '7628b7b8-a8b2-4cdc-b46f-e9b35248918e'
  cognitiveUser: 'a97b65f3-24c7-4388-baec-2e87135dc908'
  mailOwner: '09976791-48a7-449e-bb21-39d1a415f350'
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}
var roles = 'Microsoft.Authorization/roleDefinitions'

resource host 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: hostAccountName
}

resource appOnHost 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  builtIn.blobOwner
  builtIn.queueContributor
  builtIn.tableContributor
]: {
  name: guid(host.id, 'app', role)
  scope: host
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, role)
  }
}]

resource hostBlobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: host
  name: 'default'
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: hostBlobs
  name: deadLetterContainer
}

resource topicOnDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(deadLetters.id, 'topic', builtIn.blobContributor)
  scope: deadLetters
  properties: {
    principalId: topicPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.blobContributor)
  }
}

resource images 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: imagesAccountName
}

resource appOnImages 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(images.id, 'app', 'eig-pictures')
  scope: images
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, storageRole[0].name)
  }
}

resource appOnImageQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(images.id, 'app', builtIn.queueContributor)
  scope: images
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.queueContributor)
  }
}

resource evidence 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: evidenceAccountName
}

resource appOnEvidence 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(evidence.id, 'app', 'eig-evidence')
  scope: evidence
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, storageRole[1].name)
  }
}

// A witness of somebody else reads the log and can write nothing here.
resource witnessOnEvidence 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (witnessApart) {
  name: guid(evidence.id, 'witness', builtIn.blobReader)
  scope: evidence
  properties: {
    principalId: witnessPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.blobReader)
  }
}

resource witness 'Microsoft.Storage/storageAccounts@2024-01-01' existing = if (!witnessApart) {
  name: witnessAccountName
}

resource witnessOnItsOwn 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!witnessApart) {
  name: guid(witness.id, 'witness', 'eig-evidence')
  scope: witness
  properties: {
    principalId: witnessPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, storageRole[1].name)
  }
}

resource auditorsOnWitness 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!witnessApart && !empty(auditorsGroupId)) {
  name: guid(witness.id, 'auditors', builtIn.blobReader)
  scope: witness
  properties: {
    principalId: auditorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.blobReader)
  }
}

resource auditorsOnEvidence 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(auditorsGroupId)) {
  name: guid(evidence.id, 'auditors', builtIn.blobReader)
  scope: evidence
  properties: {
    principalId: auditorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.blobReader)
  }
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource appOnSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, 'app', builtIn.secretsUser)
  scope: vault
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.secretsUser)
  }
}

resource checkpointKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' existing = {
  parent: vault
  name: checkpointKeyName
}

resource appSignsCheckpoints 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(checkpointKey.id, 'app', 'eig-signer')
  scope: checkpointKey
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, signerRole.name)
  }
}

resource witnessKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' existing = {
  parent: vault
  name: witnessKeyName
}

// The app's own identity cannot even show this key; what it shows, it reads by the witness's.
resource witnessSigns 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!witnessApart) {
  name: guid(witnessKey.id, 'witness', 'eig-signer')
  scope: witnessKey
  properties: {
    principalId: witnessPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, signerRole.name)
  }
}

resource promptKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' existing = {
  parent: vault
  name: promptKeyName
}

resource appWrapsPrompts 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(promptKey.id, 'app', builtIn.wrapUser)
  scope: promptKey
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.wrapUser)
  }
}

resource operatorsWrapPrompts 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorsGroupId)) {
  name: guid(promptKey.id, 'operators', builtIn.wrapUser)
  scope: promptKey
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.wrapUser)
  }
}

resource openAi 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: openAiName
}

var openAiRole = openAiBatches ? builtIn.openAiContributor : builtIn.openAiUser

resource appOnOpenAi 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(openAi.id, 'app', openAiRole)
  scope: openAi
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, openAiRole)
  }
}

resource language 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: languageName
}

resource appOnLanguage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(language.id, 'app', builtIn.languageReader)
  scope: language
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.languageReader)
  }
}

resource contentSafety 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: contentSafetyName
}

resource appOnContentSafety 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(contentSafety.id, 'app', builtIn.cognitiveUser)
  scope: contentSafety
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.cognitiveUser)
  }
}

resource communication 'Microsoft.Communication/communicationServices@2023-04-01' existing = {
  name: communicationName
}

resource appOnMail 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(communication.id, 'app', builtIn.mailOwner)
  scope: communication
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.mailOwner)
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource appOnInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, 'app', builtIn.metricsPublisher)
  scope: insights
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, builtIn.metricsPublisher)
  }
}
