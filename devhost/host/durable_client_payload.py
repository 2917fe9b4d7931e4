"""What a durable client is told about the host: the client binding's JSON and management URLs."""

from __future__ import annotations

import json
from urllib.parse import quote

WEBHOOK_PATH = "/runtime/webhooks/durabletask"
# Keys are not checked locally; the parameter is there because Azure's URLs have one.
LOCAL_KEY = "local"
_ID_PLACEHOLDER = "INSTANCEID"


def management_urls(origin: str, hub_name: str, instance_id: str) -> dict[str, str]:
    """The URLs of one instance, as a start request and `create_check_status_response` answer."""
    query = _query(hub_name)
    base = f"{origin}{WEBHOOK_PATH}/instances/{quote(instance_id, safe='')}"
    return {
        "id": instance_id,
        "statusQueryGetUri": f"{base}?{query}",
        "sendEventPostUri": f"{base}/raiseEvent/{{eventName}}?{query}",
        "terminatePostUri": f"{base}/terminate?reason={{text}}&{query}",
        "rewindPostUri": f"{base}/rewind?reason={{text}}&{query}",
        "purgeHistoryDeleteUri": f"{base}?{query}",
        "restartPostUri": f"{base}/restart?{query}",
        "suspendPostUri": f"{base}/suspend?reason={{text}}&{query}",
        "resumePostUri": f"{base}/resume?reason={{text}}&{query}",
    }


def client_binding_text(origin: str, hub_name: str) -> str:
    """The JSON text that a durableClient binding hands to the SDK."""
    base = f"{origin}{WEBHOOK_PATH}"
    create = f"{base}/orchestrators/{{functionName}}[/{{instanceId}}]"
    wait = "timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}"
    return json.dumps(
        {
            "taskHubName": hub_name,
            "creationUrls": {
                "createNewInstancePostUri": f"{create}?code={LOCAL_KEY}",
                "createAndWaitOnNewInstancePostUri": f"{create}?{wait}&code={LOCAL_KEY}",
            },
            "managementUrls": management_urls(origin, hub_name, _ID_PLACEHOLDER),
            "baseUrl": base,
            "requiredQueryStringParameters": _query(hub_name),
            "rpcBaseUrl": f"{base}/",
            "httpBaseUrl": f"{base}/",
        }
    )


def _query(hub_name: str) -> str:
    return f"taskHub={quote(hub_name)}&connection=Storage&code={LOCAL_KEY}"
