using '../main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'dev')
param location = 'australiaeast'
param homeLocation = 'australiaeast'
param secondLocation = ''
param providerLocation = 'swedencentral'
param tags = {
  stage: 'dev'
}

param tokenTenantId = readEnvironmentVariable('EIG_TOKEN_TENANT_ID')
param tokenAudience = readEnvironmentVariable('EIG_TOKEN_AUDIENCE')
param tokenAuthorizedParties = readEnvironmentVariable('EIG_TOKEN_AUTHORIZED_PARTIES', '')
param publicOrigin = readEnvironmentVariable('EIG_PUBLIC_ORIGIN', '')
param corsOrigins = readEnvironmentVariable('EIG_CORS_ORIGINS', '')
param signInClientId = readEnvironmentVariable('EIG_SIGN_IN_CLIENT_ID', '')
param bootstrapHash = readEnvironmentVariable('EIG_BOOTSTRAP_SECRET_HASH', '')
param scimTokenHashes = readEnvironmentVariable('EIG_SCIM_TOKEN_HASHES', '')
param scimDepartment = readEnvironmentVariable('EIG_SCIM_DEPARTMENT', '')
param auditLogOrigin = readEnvironmentVariable('EIG_AUDIT_LOG_ORIGIN', 'eig.dev/audit-log')
// docs/operations.md says where it comes from; the witness does nothing without it.
param auditLogVerifier = readEnvironmentVariable('EIG_AUDIT_LOG_VERIFIER', '')
param auditorsGroupId = readEnvironmentVariable('EIG_AUDITORS_GROUP_ID', '')
param operatorsGroupId = readEnvironmentVariable('EIG_OPERATORS_GROUP_ID', '')
param operatorEmails = empty(readEnvironmentVariable('EIG_OPERATOR_EMAILS')) ? [] : split(readEnvironmentVariable('EIG_OPERATOR_EMAILS'), ',')
param extraSettings = json(readEnvironmentVariable('EIG_EXTRA_SETTINGS', '{}'))
// Where the simulators are that the integration suite uses after a deployment; empty: Entra ID and Azure are trusted.
param trustsSimulators = !empty(readEnvironmentVariable('EIG_TARGET_SIMULATORS', ''))

param pythonVersion = '3.12'
param instancesMax = 40
param instanceMemoryMb = 2048
param requestsPerInstance = 16
param alwaysReadyDurable = 0
param alwaysReadyHttp = 0
param zoneRedundant = false
param throughputMax = 1000
param imageCapacity = 1
param imageBatchCapacity = 0
param imageModelVersion = '2026-04-21'
param startsPerMinute = 1
param logRetentionDays = 30
param logDailyCapGb = 1
param softDeleteDays = 7
param tiersByAccess = false
param backupTier = 'Continuous7Days'
param consistency = 'Session'
param hostSku = 'Standard_LRS'
param imagesSku = 'Standard_LRS'
param evidenceSku = 'Standard_LRS'
param vaultSku = 'standard'
// A day, and never locked: a development environment must be removable.
param evidenceRetentionDays = 1
param evidencePolicyIsLocked = false

// Open to the network, closed to everybody without a role: no private endpoints, no Front Door.
param privateNetwork = false
param addressPrefix = '10.21'
param clientNetworks = [
  'any'
]
param frontDoor = false
param requestsPerMinute = 600
param ddosPlan = false
param defender = false
param sentinel = false
param policies = false
param locks = false

param billingCurrency = 'AUD'
param monthlyUsd = 200
param monthlyAud = 310
param weeklyAud = 78
param dailyAud = 16
param budgetStartDate = readEnvironmentVariable('EIG_BUDGET_START_DATE')
param costExport = false
