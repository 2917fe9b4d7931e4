// Logs, metrics and traces: one workspace, one Application Insights component on it.

param location string
param tags object
param token string
@minValue(30)
@maxValue(730)
param retentionDays int
@description('Gigabytes of logs a day after which ingestion stops; -1 is no cap.')
param dailyCapGb int

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-${token}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
    workspaceCapping: {
      dailyQuotaGb: dailyCapGb
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${token}'
  location: location
  kind: 'web'
  tags: tags
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    DisableLocalAuth: true
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(insights.id, 'operations')
  location: location
  kind: 'shared'
  tags: tags
  properties: {
    displayName: 'EIG operations'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: insights.id
    serializedData: loadTextContent('../workbooks/operations.json')
  }
}

output workspaceId string = workspace.id
output workspaceName string = workspace.name
output insightsId string = insights.id
output insightsName string = insights.name
output connectionString string = insights.properties.ConnectionString
