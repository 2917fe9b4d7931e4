// The built-in policy of allowed locations knows no exception for one kind of resource; this one does.

targetScope = 'subscription'

param environmentName string

resource places 'Microsoft.Authorization/policyDefinitions@2023-04-01' = {
  name: 'eig-places-${environmentName}'
  properties: {
    displayName: 'Resources lie in the allowed locations, Azure OpenAI accounts also in one other'
    policyType: 'Custom'
    mode: 'Indexed'
    parameters: {
      allowedLocations: {
        type: 'Array'
      }
      providerLocation: {
        type: 'String'
      }
    }
    policyRule: {
      if: {
        allOf: [
          {
            field: 'location'
            notIn: '[parameters(\'allowedLocations\')]'
          }
          {
            field: 'location'
            notEquals: 'global'
          }
          {
            not: {
              allOf: [
                {
                  field: 'type'
                  equals: 'Microsoft.CognitiveServices/accounts'
                }
                {
                  field: 'kind'
                  equals: 'OpenAI'
                }
                {
                  field: 'location'
                  equals: '[parameters(\'providerLocation\')]'
                }
              ]
            }
          }
        ]
      }
      then: {
        effect: 'deny'
      }
    }
  }
}

output placesId string = places.id
