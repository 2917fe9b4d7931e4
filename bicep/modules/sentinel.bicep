// Microsoft Sentinel on the workspace, with rules for changes to the walls around the audit log.

param workspaceName string
@description('What a week may cost, in AUD: no other rule of Azure looks back so far.')
param weeklyAud int

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: workspaceName
}

resource onboarding 'Microsoft.SecurityInsights/onboardingStates@2024-03-01' = {
  name: 'default'
  scope: workspace
  properties: {}
}

var rules = [
  {
    name: 'audit-role-changed'
    title: 'A role on the audit log was defined, assigned or removed'
    severity: 'High'
    tactics: [
      'DefenseEvasion'
      'PrivilegeEscalation'
    ]
    frequency: 'PT15M'
    period: 'PT1H'
    query: 'AzureActivity | where OperationNameValue has_any ("SQLROLEASSIGNMENTS", "SQLROLEDEFINITIONS") and ActivityStatusValue == "Success" | project TimeGenerated, Caller, CallerIpAddress, OperationNameValue, _ResourceId'
  }
  {
    name: 'walls-changed'
    title: 'A role, a lock, a rule on deletion or a log was changed'
    severity: 'High'
    tactics: [
      'DefenseEvasion'
      'PrivilegeEscalation'
    ]
    frequency: 'PT15M'
    period: 'PT1H'
    query: 'AzureActivity | where OperationNameValue in~ ("MICROSOFT.AUTHORIZATION/ROLEDEFINITIONS/WRITE", "MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/WRITE", "MICROSOFT.AUTHORIZATION/LOCKS/DELETE", "MICROSOFT.STORAGE/STORAGEACCOUNTS/BLOBSERVICES/CONTAINERS/IMMUTABILITYPOLICIES/WRITE", "MICROSOFT.STORAGE/STORAGEACCOUNTS/BLOBSERVICES/CONTAINERS/IMMUTABILITYPOLICIES/DELETE", "MICROSOFT.STORAGE/STORAGEACCOUNTS/MANAGEMENTPOLICIES/WRITE", "MICROSOFT.INSIGHTS/DIAGNOSTICSETTINGS/DELETE", "MICROSOFT.KEYVAULT/VAULTS/WRITE") and ActivityStatusValue == "Success" | project TimeGenerated, Caller, CallerIpAddress, OperationNameValue, _ResourceId'
  }
  {
    name: 'keys-switched-on'
    title: 'An account was changed that must accept no keys'
    severity: 'High'
    tactics: [
      'DefenseEvasion'
    ]
    frequency: 'PT15M'
    period: 'PT1H'
    query: 'AzureActivity | where OperationNameValue in~ ("MICROSOFT.DOCUMENTDB/DATABASEACCOUNTS/WRITE", "MICROSOFT.STORAGE/STORAGEACCOUNTS/WRITE", "MICROSOFT.DOCUMENTDB/DATABASEACCOUNTS/LISTKEYS/ACTION", "MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION") and ActivityStatusValue == "Success" | project TimeGenerated, Caller, CallerIpAddress, OperationNameValue, _ResourceId'
  }
  {
    name: 'audit-log-refused'
    title: 'Somebody tried to change the audit log and was refused'
    severity: 'High'
    tactics: [
      'Impact'
    ]
    frequency: 'PT15M'
    period: 'PT1H'
    query: 'CDBDataPlaneRequests | where CollectionName == "audit" and toint(StatusCode) == 403 | project TimeGenerated, AadPrincipalId, ClientIpAddress, OperationName, AccountName'
  }
  {
    name: 'evidence-touched'
    title: 'Somebody tried to delete or change evidence'
    severity: 'High'
    tactics: [
      'Impact'
    ]
    frequency: 'PT15M'
    period: 'PT1H'
    query: 'StorageBlobLogs | where (AccountName startswith "stev" or AccountName startswith "stwit") and (Category == "StorageDelete" or StatusText has "Immutable") | project TimeGenerated, RequesterObjectId, CallerIpAddress, OperationName, StatusText, Uri'
  }
  {
    name: 'session-token-copied'
    title: 'A copied session token was used, and its session has ended'
    severity: 'High'
    tactics: [
      'CredentialAccess'
    ]
    frequency: 'PT15M'
    period: 'PT1H'
    query: 'AppTraces | where Message has "session token used twice" | project TimeGenerated, OperationId, Message'
  }
  {
    name: 'a-week-costs-too-much'
    title: 'More was booked in seven days than a week may cost'
    severity: 'Medium'
    tactics: [
      'Impact'
    ]
    frequency: 'P1D'
    period: 'P7D'
    query: 'AppMetrics | where Name == "eig.budget.spent_micros" | summarize Spent = max(Max) - min(Min) by tostring(Properties.department), tostring(Properties.period) | summarize Aud = sum(Spent) / 1000000 | where Aud > ${weeklyAud}'
  }
]

resource rule 'Microsoft.SecurityInsights/alertRules@2024-03-01' = [for each in rules: {
  name: guid(workspace.id, each.name)
  scope: workspace
  kind: 'Scheduled'
  properties: {
    displayName: 'EIG: ${each.title}'
    enabled: true
    severity: each.severity
    tactics: each.tactics
    query: each.query
    queryFrequency: each.frequency
    queryPeriod: each.period
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionEnabled: false
    suppressionDuration: 'PT5H'
    eventGroupingSettings: {
      aggregationKind: 'SingleAlert'
    }
  }
  dependsOn: [
    onboarding
  ]
}]
