// A virtual network with one subnet for the app's way out and one for private endpoints.

param location string
param tags object
param token string
@description('The network in CIDR notation with a /16 mask.')
param addressSpace string
@description('The first two numbers of that network, such as 10.20')
param addressPrefix string
@description('A DDoS protection plan to put the network under; empty: none.')
param ddosPlanId string
@description('Private DNS zones, one for each kind of private endpoint.')
param zones array

resource appRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: 'nsg-app-${token}'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'no-way-in'
        properties: {
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
      {
        name: 'tls-to-services-and-providers'
        properties: {
          priority: 100
          direction: 'Outbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '443'
        }
      }
      {
        name: 'nothing-else-out-to-the-internet'
        properties: {
          priority: 4096
          direction: 'Outbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: 'Internet'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource endpointRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: 'nsg-endpoints-${token}'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'tls-from-the-network'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '443'
        }
      }
      {
        name: 'nothing-else-in'
        properties: {
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

var protection = empty(ddosPlanId) ? {} : {
  enableDdosProtection: true
  ddosProtectionPlan: {
    id: ddosPlanId
  }
}

var addressing = {
  addressSpace: {
    addressPrefixes: [
      addressSpace
    ]
  }
  subnets: [
    {
      name: 'app'
      properties: {
        addressPrefix: '${addressPrefix}.0.0/24'
        defaultOutboundAccess: true
        networkSecurityGroup: {
          id: appRules.id
        }
        delegations: [
          {
            name: 'flex-consumption'
            properties: {
              serviceName: 'Microsoft.App/environments'
            }
          }
        ]
      }
    }
    {
      name: 'endpoints'
      properties: {
        addressPrefix: '${addressPrefix}.1.0/24'
        defaultOutboundAccess: false
        privateEndpointNetworkPolicies: 'Enabled'
        networkSecurityGroup: {
          id: endpointRules.id
        }
      }
    }
  ]
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: 'vnet-${token}'
  location: location
  tags: tags
  properties: union(addressing, protection)
}

resource appSubnet 'Microsoft.Network/virtualNetworks/subnets@2024-05-01' existing = {
  parent: network
  name: 'app'
}

resource endpointSubnet 'Microsoft.Network/virtualNetworks/subnets@2024-05-01' existing = {
  parent: network
  name: 'endpoints'
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [for name in zones: {
  name: name
  location: 'global'
  tags: tags
}]

resource zoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (name, i) in zones: {
  parent: zone[i]
  name: 'to-${token}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}]

output appSubnetId string = appSubnet.id
output endpointSubnetId string = endpointSubnet.id
