using '../main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'prod')
param location = 'australiaeast'
param homeLocation = 'australiaeast'
param secondLocation = 'australiasoutheast'
param providerLocation = 'swedencentral'
param tags = {
  stage: 'prod'
}

param tokenTenantId = readEnvironmentVariable('EIG_TOKEN_TENANT_ID')
param tokenAudience = readEnvironmentVariable('EIG_TOKEN_AUDIENCE')
// A pipeline passes what it does not know as an empty text. Here that never means "any": no client, a context to meet.
param tokenAuthorizedParties = empty(readEnvironmentVariable('EIG_TOKEN_AUTHORIZED_PARTIES', '')) ? 'none' : readEnvironmentVariable('EIG_TOKEN_AUTHORIZED_PARTIES', '')
param stepUpContext = empty(readEnvironmentVariable('EIG_STEP_UP_CONTEXT', '')) ? 'c1' : readEnvironmentVariable('EIG_STEP_UP_CONTEXT', '')
param stepUpAgeMaxSeconds = '3600'
param publicOrigin = readEnvironmentVariable('EIG_PUBLIC_ORIGIN', '')
param corsOrigins = readEnvironmentVariable('EIG_CORS_ORIGINS', '')
param signInClientId = readEnvironmentVariable('EIG_SIGN_IN_CLIENT_ID', '')
param bootstrapHash = readEnvironmentVariable('EIG_BOOTSTRAP_SECRET_HASH', '')
param scimTokenHashes = readEnvironmentVariable('EIG_SCIM_TOKEN_HASHES', '')
param scimDepartment = readEnvironmentVariable('EIG_SCIM_DEPARTMENT', '')
param auditLogOrigin = readEnvironmentVariable('EIG_AUDIT_LOG_ORIGIN')
// docs/operations.md says where it comes from; the witness does nothing without it.
param auditLogVerifier = readEnvironmentVariable('EIG_AUDIT_LOG_VERIFIER', '')
param auditorsGroupId = readEnvironmentVariable('EIG_AUDITORS_GROUP_ID', '')
param operatorsGroupId = readEnvironmentVariable('EIG_OPERATORS_GROUP_ID', '')
param operatorEmails = empty(readEnvironmentVariable('EIG_OPERATOR_EMAILS')) ? [] : split(readEnvironmentVariable('EIG_OPERATOR_EMAILS'), ',')
param extraSettings = json(readEnvironmentVariable('EIG_EXTRA_SETTINGS', '{}'))

param pythonVersion = '3.12'
param instancesMax = 100
param instanceMemoryMb = 2048
param requestsPerInstance = 16
param alwaysReadyDurable = 1
param alwaysReadyHttp = 1
param zoneRedundant = true
// One month of one department lies in one partition, which serves 10,000 request units a second.
param throughputMax = 10000
param imageCapacity = 6
param imageBatchCapacity = 100
param imageModelVersion = '2026-04-21'
param startsPerMinute = 5
param logRetentionDays = 365
param logDailyCapGb = 20
param softDeleteDays = 30
param tiersByAccess = false
param backupTier = 'Continuous30Days'
param consistency = 'Strong'
param hostSku = 'Standard_ZRS'
param imagesSku = 'Standard_GRS'
param evidenceSku = 'Standard_GZRS'
param vaultSku = 'premium'
// Seven years; raise it only with a decision of its own: a locked policy cannot be shortened.
param evidenceRetentionDays = 2557
param evidencePolicyIsLocked = false

param privateNetwork = true
param addressPrefix = '10.20'
// The organisation's own networks; empty: none, so links to pictures work nowhere until this is set.
param clientNetworks = empty(readEnvironmentVariable('EIG_CLIENT_NETWORKS', '')) ? [] : split(readEnvironmentVariable('EIG_CLIENT_NETWORKS', ''), ',')
param frontDoor = true
param requestsPerMinute = 600
param ddosPlan = false
param defender = true
param sentinel = true
param policies = true
param locks = true

// USD 100 a day, 500 a week, 2,000 a month; in AUD at 1.55.
param billingCurrency = 'AUD'
param monthlyUsd = 2000
param monthlyAud = 3100
param weeklyAud = 775
param dailyAud = 155
param budgetStartDate = readEnvironmentVariable('EIG_BUDGET_START_DATE')
param costExport = false
