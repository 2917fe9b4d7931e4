// What Azure itself says about the bill. It stops nothing: Azure learns of costs hours late.
//
// A budget of Azure has a month, a quarter or a year, and no currency of its own: the amount is in the
// currency that the subscription is billed in. So the month is a budget; its quarters, which are what a
// week may cost, are thresholds of it; and the day, of which Azure knows nothing, is an alert on the
// spend that the app itself books (alerts.bicep). The hard limits are EIG's own ledger.

@allowed([
  'USD'
  'AUD'
])
param billingCurrency string
param monthlyUsd int
param monthlyAud int
@description('The first day of a month, such as 2026-12-01; it cannot be changed later.')
param startDate string
param emails array
param actionGroupId string

var amount = billingCurrency == 'AUD' ? monthlyAud : monthlyUsd

resource month 'Microsoft.Consumption/budgets@2023-11-01' = {
  name: 'eig-month'
  properties: {
    category: 'Cost'
    timeGrain: 'Monthly'
    amount: amount
    timePeriod: {
      startDate: startDate
    }
    notifications: {
      actual25: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 25
        thresholdType: 'Actual'
        contactEmails: emails
        contactGroups: [
          actionGroupId
        ]
      }
      actual50: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 50
        thresholdType: 'Actual'
        contactEmails: emails
        contactGroups: [
          actionGroupId
        ]
      }
      actual75: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 75
        thresholdType: 'Actual'
        contactEmails: emails
        contactGroups: [
          actionGroupId
        ]
      }
      actual100: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Actual'
        contactEmails: emails
        contactGroups: [
          actionGroupId
        ]
      }
      forecast100: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: emails
        contactGroups: [
          actionGroupId
        ]
      }
    }
  }
}
