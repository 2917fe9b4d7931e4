// Every change of resources, roles and policies, kept in the workspace.

targetScope = 'subscription'

param environmentName string
param workspaceId string

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'eig-${environmentName}'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'Administrative'
        enabled: true
      }
      {
        category: 'Security'
        enabled: true
      }
      {
        category: 'Policy'
        enabled: true
      }
      {
        category: 'Alert'
        enabled: true
      }
    ]
  }
}
