// A DDoS protection plan of its own. It has a fixed price of some USD 2,900 a month, whatever happens.

param location string
param tags object
param token string

resource plan 'Microsoft.Network/ddosProtectionPlans@2024-05-01' = {
  name: 'ddos-${token}'
  location: location
  tags: tags
}

output planId string = plan.id
