// One private endpoint of one resource, with its name in the private DNS zone.

param location string
param tags object
param name string
param subnetId string
param resourceId string
@description('Which door of the resource: blob, queue, table, Sql, vault, account.')
param group string
@description('The resource group and name of the private DNS zone.')
param zoneGroup string
param zone string

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: 'pe-${name}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: name
        properties: {
          privateLinkServiceId: resourceId
          groupIds: [
            group
          ]
        }
      }
    ]
  }
}

resource zoneOfEndpoint 'Microsoft.Network/privateDnsZones@2024-06-01' existing = {
  name: zone
  scope: resourceGroup(zoneGroup)
}

resource dns 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'zone'
        properties: {
          privateDnsZoneId: zoneOfEndpoint.id
        }
      }
    ]
  }
}
