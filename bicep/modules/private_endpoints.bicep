// The private doors of services, each with its name in a private DNS zone of this resource group.

param location string
param tags object
param token string
param subnetId string
@description('name, resource (its id), group (which door: blob, queue, table, Sql, vault, account), zone.')
param doors array

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [for door in doors: {
  name: 'pe-${door.name}-${token}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: door.name
        properties: {
          privateLinkServiceId: door.resource
          groupIds: [
            door.group
          ]
        }
      }
    ]
  }
}]

resource dns 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [for (door, i) in doors: {
  parent: endpoint[i]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'zone'
        properties: {
          privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', door.zone)
        }
      }
    ]
  }
}]
