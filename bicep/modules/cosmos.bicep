// The ledger's account: no keys, one write region, restorable to any second.

@description('Where the account was made; Azure never moves it.')
param homeLocation string
@description('The region that writes.')
param location string
@description('Reads and failover; empty: one region only.')
param secondLocation string
param tags object
param name string
param databaseName string
@description('Strong loses nothing when a region is lost; Session may lose the last writes.')
@allowed([
  'Strong'
  'Session'
])
param consistency string
param zoneRedundant bool
@allowed([
  'Continuous7Days'
  'Continuous30Days'
])
param backupTier string
@description('The highest throughput of each container, in request units a second; it scales down to a tenth.')
param throughputMax int
param publicAccess string
param workspaceId string
param lock bool

// Only these paths are searched or sorted by; id and _ts are always indexed. A path that is missing
// here makes ORDER BY fail: tests/bicep compares the list with the queries of shared/adapters.
var containers = [
  {
    name: 'ledger'
    partitionKey: '/pk'
    searched: [
      '/pk/?'
      '/alert_id/?'
      '/applied/?'
      '/batch_id/?'
      '/body/asked_at/?'
      '/body/since/?'
      '/channel/deleted/?'
      '/closed_at/?'
      '/created_at/?'
      '/ends_at/?'
      '/escalates_at/?'
      '/escalations/?'
      '/expires_at/?'
      '/facts/day/?'
      '/facts/provider/?'
      '/images/[]/sha256/?'
      '/job_id/?'
      '/open/?'
      '/open_deliveries/?'
      '/open_rows/?'
      '/opened_at/?'
      '/override/created_at/?'
      '/override/ends_at/?'
      '/override/status/?'
      '/pending/?'
      '/provider/?'
      '/providers/[]/?'
      '/raised_at/?'
      '/ran_at/?'
      '/refers_to/?'
      '/requester/?'
      '/reserved_micros/?'
      '/source/slot_id/?'
      '/spent_micros/?'
      '/status/?'
      '/switch/lifted/?'
      '/tenant_id/?'
      '/type/?'
      '/user_key/?'
      '/waits_for/?'
    ]
  }
  {
    name: 'audit'
    partitionKey: '/pk'
    searched: [
      '/pk/?'
    ]
  }
  {
    name: 'directory'
    partitionKey: '/pk'
    searched: [
      '/pk/?'
      '/department_id/?'
      '/type/?'
      '/user/department_id/?'
      '/user/external_id/?'
      '/user/kind/?'
      '/user/lookups/user_name/?'
      '/user/role_id/?'
      '/user/search_keys/[]/?'
      '/user/status/?'
    ]
  }
  {
    name: 'keys'
    partitionKey: '/pk'
    searched: [
      '/pk/?'
      '/kek/?'
      '/status/?'
      '/type/?'
      '/user_key/?'
    ]
  }
  {
    name: 'sessions'
    partitionKey: '/pk'
    searched: [
      '/pk/?'
    ]
  }
  {
    name: 'limits'
    partitionKey: '/pk'
    searched: [
      '/pk/?'
      '/tried_at/?'
    ]
  }
]

var firstRegion = [
  {
    locationName: location
    failoverPriority: 0
    isZoneRedundant: zoneRedundant
  }
]
var secondRegion = empty(secondLocation) ? [] : [
  {
    locationName: secondLocation
    failoverPriority: 1
    isZoneRedundant: false
  }
]

resource account 'Microsoft.DocumentDB/databaseAccounts@2024-11-15' = {
  name: name
  location: homeLocation
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    locations: concat(firstRegion, secondRegion)
    consistencyPolicy: {
      defaultConsistencyLevel: consistency
    }
    // Two writers would merge counters by the last one to write: budgets would not hold.
    enableMultipleWriteLocations: false
    // Without Strong a failover may lose writes; then a person freezes spending first.
    enableAutomaticFailover: consistency == 'Strong' && !empty(secondLocation)
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: publicAccess
    networkAclBypass: 'None'
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: {
        tier: backupTier
      }
    }
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2024-11-15' = {
  parent: account
  name: databaseName
  properties: {
    resource: {
      id: databaseName
    }
  }
}

// Without defaultTtl a document's own ttl has no effect; -1: only what says so itself is dropped.
resource container 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-11-15' = [for each in containers: {
  parent: database
  name: each.name
  properties: {
    resource: {
      id: each.name
      defaultTtl: contains(['sessions', 'limits'], each.name) ? -1 : null
      partitionKey: {
        kind: 'Hash'
        version: 2
        paths: [
          each.partitionKey
        ]
      }
      indexingPolicy: {
        indexingMode: 'consistent'
        automatic: true
        includedPaths: [for path in each.searched: {
          path: path
        }]
        excludedPaths: [
          {
            path: '/*'
          }
        ]
      }
    }
    options: {
      autoscaleSettings: {
        maxThroughput: throughputMax
      }
    }
  }
}]

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: account
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        category: 'ControlPlaneRequests'
        enabled: true
      }
      {
        category: 'DataPlaneRequests'
        enabled: true
      }
    ]
  }
}

resource keep 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  name: 'keep'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'Ledger and audit log. It binds the control plane, not the data.'
  }
}

output id string = account.id
output name string = account.name
output endpoint string = account.properties.documentEndpoint
