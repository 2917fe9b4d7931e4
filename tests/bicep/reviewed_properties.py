"""Property names of the few types that no pinned SDK describes, in the form of properties.json.

Written by hand from the template reference of the API versions that we use
(https://learn.microsoft.com/azure/templates): null is anything, a list an enumeration.
"""

from typing import Any, Final

_RETENTION: Final = {"days": None, "enabled": None}
_SELECTORS: Final = {"[]": {"in": {"[]": None}, "kind": None, "notIn": {"[]": None}}}
REVIEWED: Final[dict[str, Any]] = {
    "Microsoft.Authorization/locks": {  # 2020-05-01
        "properties": {
            "level": ["CanNotDelete", "NotSpecified", "ReadOnly"],
            "notes": None,
            "owners": {"[]": {"applicationId": None}},
        }
    },
    "Microsoft.Authorization/policyAssignments": {  # 2024-04-01
        "properties": {
            "definitionVersion": None,
            "description": None,
            "displayName": None,
            "enforcementMode": ["Default", "DoNotEnforce"],
            "metadata": None,
            "nonComplianceMessages": {"[]": {"message": None, "policyDefinitionReferenceId": None}},
            "notScopes": {"[]": None},
            "overrides": {"[]": {"kind": None, "selectors": _SELECTORS, "value": None}},
            "parameters": None,  # by the definition
            "policyDefinitionId": None,
            "resourceSelectors": {"[]": {"name": None, "selectors": _SELECTORS}},
        }
    },
    "Microsoft.Authorization/policyDefinitions": {  # 2023-04-01
        "properties": {
            "description": None,
            "displayName": None,
            "metadata": None,
            "mode": None,
            "parameters": None,
            "policyRule": None,
            "policyType": ["BuiltIn", "Custom", "NotSpecified", "Static"],
            "version": None,
            "versions": {"[]": None},
        }
    },
    "Microsoft.Insights/diagnosticSettings": {  # 2021-05-01-preview
        "properties": {
            "eventHubAuthorizationRuleId": None,
            "eventHubName": None,
            "logAnalyticsDestinationType": ["AzureDiagnostics", "Dedicated"],
            "logs": {
                "[]": {
                    "category": None,
                    "categoryGroup": None,
                    "enabled": None,
                    "retentionPolicy": _RETENTION,
                }
            },
            "marketplacePartnerId": None,
            "metrics": {
                "[]": {
                    "category": None,
                    "enabled": None,
                    "retentionPolicy": _RETENTION,
                    "timeGrain": None,
                }
            },
            "serviceBusRuleId": None,
            "storageAccountId": None,
            "workspaceId": None,
        }
    },
    "Microsoft.Resources/resourceGroups": {"properties": {}},  # 2024-03-01: it has none
}
