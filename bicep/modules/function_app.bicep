// The app on Flex Consumption. It has no keys of its own: everything it opens, it opens by its identity.

param location string
param tags object
param token string
@description('The identity that the host itself uses.')
param identityId string
@description('Identities for single tasks, such as those of the audit log: id to {}, as the site wants them.')
param taskIdentities object
@description('Address of the container in the host\'s account that the package is deployed to.')
param packageUrl string
@allowed([
  '3.11'
  '3.12'
])
param pythonVersion string
@minValue(40)
@maxValue(1000)
param instancesMax int
@allowed([
  512
  2048
  4096
])
param instanceMemoryMb int
@description('Requests that one instance answers at once; Python\'s default of 1 would start an instance for each.')
@minValue(1)
@maxValue(1000)
param requestsPerInstance int
@description('Instances that always run orchestrations, so that work goes on without a cold start.')
param alwaysReadyDurable int
@description('Instances that always answer requests.')
param alwaysReadyHttp int
param zoneRedundant bool
@description('The subnet to reach private endpoints through; empty: none.')
param subnetId string
@description('Front Door\'s own id: requests must carry it; empty: no Front Door, anybody may call.')
param frontDoorId string
@description('All of them: whatever else was set, here or by hand, is removed.')
param settings object
param workspaceId string

var frontDoorOnly = [
  {
    name: 'front-door'
    action: 'Allow'
    priority: 100
    tag: 'ServiceTag'
    ipAddress: 'AzureFrontDoor.Backend'
    headers: {
      'x-azure-fdid': [
        frontDoorId
      ]
    }
  }
  {
    name: 'uploads-arrive'
    action: 'Allow'
    priority: 110
    tag: 'ServiceTag'
    ipAddress: 'AzureEventGrid'
  }
]

var durableReady = alwaysReadyDurable > 0 ? [
  {
    name: 'durable'
    instanceCount: alwaysReadyDurable
  }
] : []
var httpReady = alwaysReadyHttp > 0 ? [
  {
    name: 'http'
    instanceCount: alwaysReadyHttp
  }
] : []

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: 'func-${token}'
  location: location
  kind: 'functionapp,linux'
  tags: union(tags, {
    'azd-service-name': 'app'
  })
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: union({
      '${identityId}': {}
    }, taskIdentities)
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identityId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      ipSecurityRestrictionsDefaultAction: empty(frontDoorId) ? 'Allow' : 'Deny'
      ipSecurityRestrictions: empty(frontDoorId) ? [] : frontDoorOnly
      scmIpSecurityRestrictionsUseMain: false
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        maximumInstanceCount: instancesMax
        instanceMemoryMB: instanceMemoryMb
        alwaysReady: concat(durableReady, httpReady)
        triggers: {
          http: {
            perInstanceConcurrency: requestsPerInstance
          }
        }
      }
    }
  }
}

resource appSettings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: settings
}

resource noFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
  }
}

output id string = app.id
output name string = app.name
output hostName string = app.properties.defaultHostName
