// Who is called, and when. Queries look at the metrics of shared/metrics.py and at Azure's own logs.

param location string
param tags object
param token string
param emails array
param insightsId string
param workspaceId string
param cosmosId string
@description('What a day may cost, in AUD, before somebody is called.')
param dailyAud int

resource operators 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-operators-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'eig-ops'
    enabled: true
    emailReceivers: [for (email, i) in emails: {
      name: 'operator-${i}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

var onMetrics = [
  {
    name: 'audit-lags'
    severity: 1
    text: 'Audit events wait in the outbox for more than five minutes. docs/operations.md: audit relay.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 300
    query: 'AppMetrics | where Name == "eig.audit.lag_s" | summarize Value = max(Max)'
  }
  {
    name: 'audit-log-lags'
    severity: 1
    text: 'Audit events wait for a cosigned checkpoint for more than five minutes: sequencer or witness stand still. docs/operations.md: evidence in doubt.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 300
    query: 'AppMetrics | where Name == "eig.audit.merge_delay_s" | summarize Value = max(Max)'
  }
  {
    name: 'work-is-stuck'
    severity: 1
    text: 'A hold has been open for more than an hour. docs/operations.md: work that is stuck.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 3600
    query: 'AppMetrics | where Name == "eig.holds.oldest_age_s" | summarize Value = max(Max)'
  }
  {
    name: 'outcomes-unknown'
    severity: 2
    text: 'More than 20 outcomes are unknown: the money stays reserved. docs/operations.md: provider outage.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 20
    query: 'AppMetrics | where Name == "eig.outcomes.unknown" | summarize Department = max(Max) by tostring(Properties.department) | summarize Value = sum(Department)'
  }
  {
    name: 'provider-fails'
    severity: 2
    text: 'More than half of at least 20 attempts with a provider failed. docs/operations.md: provider outage.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 50
    query: 'AppMetrics | where Name == "eig.provider.attempts" | extend Provider = tostring(Properties.provider), Failed = tostring(Properties.ending) in ("auth_or_config", "malformed", "provider_blocked", "quota_exhausted", "timeout", "transient", "unknown") | summarize All = sum(Sum), Bad = sumif(Sum, Failed) by Provider | where All >= 20 | summarize Value = max(100 * Bad / All)'
  }
  {
    name: 'provider-is-left-alone'
    severity: 2
    text: 'The breaker of a provider has been open: it fails, or has shut us out. docs/operations.md: provider outage.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 0
    query: 'AppMetrics | where Name == "eig.provider.open" | summarize Value = max(Max)'
  }
  {
    name: 'a-day-costs-too-much'
    severity: 1
    text: 'More was booked in 24 hours than a day may cost. docs/operations.md: freeze spending.'
    window: 'P1D'
    every: 'PT1H'
    threshold: dailyAud
    query: 'AppMetrics | where Name == "eig.budget.spent_micros" | summarize Spent = max(Max) - min(Min) by tostring(Properties.department), tostring(Properties.period) | summarize Value = sum(Spent) / 1000000'
  }
  {
    name: 'requests-fail'
    severity: 2
    text: 'More than 10 requests ended with 500 or 503.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 10
    query: 'AppRequests | where toint(ResultCode) >= 500 | summarize Value = count()'
  }
  {
    name: 'evidence-is-doubted'
    severity: 1
    text: 'The audit log met something false: an event that was altered or deleted, a checkpoint or an index of strangers. docs/operations.md: evidence in doubt.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 0
    query: 'AppTraces | where SeverityLevel >= 3 and Message contains "eig.audit_" | summarize Value = count()'
  }
  {
    name: 'access-log-has-gaps'
    severity: 1
    text: 'Decisions could not be logged: requests were refused, or lines were lost. docs/operations.md: evidence in doubt.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 0
    query: 'AppTraces | where SeverityLevel >= 3 and Message contains "eig.access_" | summarize Value = count()'
  }
  {
    name: 'session-was-copied'
    severity: 1
    text: 'A copied session token was used, and its session has ended. docs/sessions.md: theft.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 0
    query: 'AppMetrics | where Name == "eig.sessions.copied" | summarize Value = sum(Sum)'
  }
  // AuditWitness is in no list: where the witness is apart it is off in this app. Where it stands still,
  // audit-log-lags tells; its own side has witness_alerts.bicep.
  {
    name: 'timers-stopped'
    severity: 1
    text: 'A timer did not end well for 15 minutes: lost work stays lost, and without MeasureVitals no other figure is watched. docs/operations.md: timers.'
    window: 'PT15M'
    every: 'PT5M'
    threshold: 0
    query: 'datatable(Name: string)["LedgerSweep", "AllocationSweep", "OverageSweep", "StorageSweep", "AuditRelay", "AuditSequencer", "AlertSweep", "MeasureVitals"] | join kind=leftanti (AppRequests | where Success | distinct Name) on Name | summarize Value = count()'
  }
  // The query looks at a night and some hours; the window is the longest that Azure allows.
  {
    name: 'nightly-timers-stopped'
    severity: 2
    text: 'A nightly timer did not end well for 30 hours: nobody looks for deleted audit events, or for what providers billed, or the task hub grows. docs/operations.md: timers.'
    window: 'P2D'
    every: 'PT1H'
    threshold: 0
    query: 'datatable(Name: string)["AuditDeletions", "OrchestrationPurge", "Reconciliation"] | join kind=leftanti (AppRequests | where Success and TimeGenerated > ago(30h) | distinct Name) on Name | summarize Value = count()'
  }
]

resource metricAlert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for each in onMetrics: {
  name: 'eig-${each.name}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'EIG: ${each.name}'
    description: each.text
    severity: each.severity
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: each.every
    windowSize: each.window
    criteria: {
      allOf: [
        {
          query: each.query
          metricMeasureColumn: 'Value'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: each.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    autoMitigate: true
    actions: {
      actionGroups: [
        operators.id
      ]
    }
  }
}]

resource throttled 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'eig-ledger-throttled'
  location: 'global'
  tags: tags
  properties: {
    description: 'Cosmos DB refused more than 100 requests in 5 minutes: raise throughputMax.'
    severity: 2
    enabled: true
    scopes: [
      cosmosId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'throttled'
          metricName: 'TotalRequests'
          metricNamespace: 'Microsoft.DocumentDB/databaseAccounts'
          dimensions: [
            {
              name: 'StatusCode'
              operator: 'Include'
              values: [
                '429'
              ]
            }
          ]
          operator: 'GreaterThan'
          threshold: 100
          timeAggregation: 'Count'
        }
      ]
    }
    actions: [
      {
        actionGroupId: operators.id
      }
    ]
  }
}

// Whoever can change these can undo the walls: each such change calls somebody, whoever made it.
var watchedOperations = [
  {
    name: 'cosmos-role-defined'
    operation: 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions/write'
  }
  {
    name: 'cosmos-role-assigned'
    operation: 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments/write'
  }
  {
    name: 'cosmos-role-removed'
    operation: 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments/delete'
  }
  {
    name: 'cosmos-account-changed'
    operation: 'Microsoft.DocumentDB/databaseAccounts/write'
  }
  {
    name: 'role-defined'
    operation: 'Microsoft.Authorization/roleDefinitions/write'
  }
  {
    name: 'role-assigned'
    operation: 'Microsoft.Authorization/roleAssignments/write'
  }
  {
    name: 'lock-removed'
    operation: 'Microsoft.Authorization/locks/delete'
  }
  {
    name: 'evidence-policy-changed'
    operation: 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies/write'
  }
  {
    name: 'evidence-policy-removed'
    operation: 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies/delete'
  }
  {
    name: 'deletion-rules-changed'
    operation: 'Microsoft.Storage/storageAccounts/managementPolicies/write'
  }
  {
    name: 'logging-stopped'
    operation: 'Microsoft.Insights/diagnosticSettings/delete'
  }
  {
    name: 'key-vault-changed'
    operation: 'Microsoft.KeyVault/vaults/write'
  }
]

resource watch 'Microsoft.Insights/activityLogAlerts@2020-10-01' = [for each in watchedOperations: {
  name: 'eig-${each.name}'
  location: 'global'
  tags: tags
  properties: {
    description: 'A change to who may do what, or to what keeps evidence.'
    enabled: true
    scopes: [
      resourceGroup().id
    ]
    condition: {
      allOf: [
        {
          field: 'category'
          equals: 'Administrative'
        }
        {
          field: 'operationName'
          equals: each.operation
        }
      ]
    }
    actions: {
      actionGroups: [
        {
          actionGroupId: operators.id
        }
      ]
    }
  }
}]

resource notAnswering 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'eig-slow-answers'
  location: 'global'
  tags: tags
  properties: {
    description: 'Requests take more than 5 seconds on average.'
    severity: 3
    enabled: true
    scopes: [
      insightsId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'slow'
          metricName: 'requests/duration'
          metricNamespace: 'Microsoft.Insights/components'
          operator: 'GreaterThan'
          threshold: 5000
          timeAggregation: 'Average'
        }
      ]
    }
    actions: [
      {
        actionGroupId: operators.id
      }
    ]
  }
}

output operatorsId string = operators.id
