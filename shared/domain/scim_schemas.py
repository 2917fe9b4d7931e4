"""What our SCIM endpoint says of itself (RFC 7643, sections 5 to 7)."""

from typing import Any, Final

from shared.domain.scim import CORE, ENTERPRISE, LIST_RESPONSE, PER_PAGE_MAX


def _attribute(name: str, kind: str = "string", **other: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "multiValued": False,
        "required": False,
        "caseExact": False,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
        **other,
    }


SERVICE_PROVIDER_CONFIG: Final[dict[str, Any]] = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
    "patch": {"supported": True},
    "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
    "filter": {"supported": True, "maxResults": PER_PAGE_MAX},
    "changePassword": {"supported": False},
    "sort": {"supported": False},
    "etag": {"supported": True},
    "authenticationSchemes": [
        {
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The secret token of the provisioning app",
            "primary": True,
        }
    ],
    "meta": {"resourceType": "ServiceProviderConfig"},
}
RESOURCE_TYPES: Final[dict[str, Any]] = {
    "schemas": [LIST_RESPONSE],
    "totalResults": 1,
    "startIndex": 1,
    "itemsPerPage": 1,
    "Resources": [
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": "User",
            "name": "User",
            "endpoint": "/Users",
            "description": "People of the organisation",
            "schema": CORE,
            "schemaExtensions": [{"schema": ENTERPRISE, "required": False}],
            "meta": {"resourceType": "ResourceType"},
        }
    ],
}
_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:Schema"
SCHEMAS: Final[dict[str, Any]] = {
    "schemas": [LIST_RESPONSE],
    "totalResults": 2,
    "startIndex": 1,
    "itemsPerPage": 2,
    "Resources": [
        {
            "schemas": [_SCHEMA],
            "id": CORE,
            "name": "User",
            "description": "A person",
            "attributes": [
                _attribute("userName", required=True, uniqueness="server"),
                _attribute("externalId", caseExact=True, mutability="immutable", required=True),
                _attribute("displayName"),
                _attribute("active", "boolean"),
                _attribute(
                    "emails",
                    "complex",
                    multiValued=True,
                    subAttributes=[
                        _attribute("value"),
                        _attribute("type"),
                        _attribute("primary", "boolean"),
                    ],
                ),
            ],
            "meta": {"resourceType": "Schema"},
        },
        {
            "schemas": [_SCHEMA],
            "id": ENTERPRISE,
            "name": "EnterpriseUser",
            "description": "The department that a person belongs to",
            "attributes": [_attribute("department")],
            "meta": {"resourceType": "Schema"},
        },
    ],
}
