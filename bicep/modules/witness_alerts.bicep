// Who is called on the witness's own side. The witness keeps no metrics: its logs are all there is.

param location string
param tags object
param token string
param emails array
@description('The workspace that the witness\'s app logs to.')
param workspaceId string

resource operators 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-witness-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'eig-witness'
    enabled: true
    emailReceivers: [for (email, i) in emails: {
      name: 'operator-${i}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

var onLogs = [
  {
    name: 'witness-refuses'
    text: 'The witness refused a checkpoint, or met something false. docs/operations.md: evidence in doubt.'
    query: 'FunctionAppLogs | where Level in ("Error", "Critical") and Message contains "eig.audit_" | summarize Value = count()'
  }
  {
    name: 'witness-stopped'
    text: 'The witness has not ended a look at the log well for 15 minutes. docs/operations.md: evidence in doubt.'
    query: 'FunctionAppLogs | where Message startswith "Executed" and Message has "AuditWitness" and Message has "Succeeded" | summarize Runs = count() | project Value = iff(Runs == 0, 1, 0)'
  }
]

resource logAlert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for each in onLogs: {
  name: 'eig-${each.name}-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'EIG: ${each.name}'
    description: each.text
    severity: 1
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      allOf: [
        {
          query: each.query
          metricMeasureColumn: 'Value'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: 0
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
