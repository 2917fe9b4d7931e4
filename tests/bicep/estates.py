"""The environments that tests look at: each parameter file, evaluated once."""

from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.bicep.deployments import Deployment
from tests.bicep.evaluation import evaluate, parameters_of

BICEP: Final = Path(__file__).parents[2] / "bicep"
PARAMETER_FILES: Final = ("dev", "prod")
# full: prod with every switch on. moved: prod after its region and its ledger were lost.
STAGES: Final = (*PARAMETER_FILES, "full", "moved")
MOVED: Final[dict[str, Any]] = {
    "location": "australiasoutheast",
    "secondLocation": "australiaeast",
    "zoneRedundant": False,
    "cosmosAccountName": "cosmos-restored",
}
CHANGES: Final[dict[str, dict[str, Any]]] = {
    "full": {"ddosPlan": True, "costExport": True, "tiersByAccess": True},
    "moved": MOVED,
}
PLATFORM: Final = "11111111-aaaa-4bbb-8ccc-0000000000aa"  # the app, for a witness elsewhere
VARIABLES: Final = {
    "EIG_TOKEN_TENANT_ID": "11111111-aaaa-4bbb-8ccc-000000000001",
    "EIG_TOKEN_AUDIENCE": "7d0a2f4e-5b1c-4c39-9e57-0c6f1a2b3d40",
    "EIG_TOKEN_AUTHORIZED_PARTIES": "",
    "EIG_STEP_UP_CONTEXT": "c1",
    "EIG_PUBLIC_ORIGIN": "https://eig.example.org",
    "EIG_SIGN_IN_CLIENT_ID": "9b6f3c58-2d17-4e80-8a4c-7f15d2c0e9a3",
    "EIG_AUDIT_LOG_ORIGIN": "eig.example.org/audit-log",
    "EIG_AUDITORS_GROUP_ID": "11111111-aaaa-4bbb-8ccc-00000000000a",
    "EIG_OPERATORS_GROUP_ID": "11111111-aaaa-4bbb-8ccc-00000000000b",
    "EIG_OPERATOR_EMAILS": "ops@example.org,finance@example.org",
    "EIG_CLIENT_NETWORKS": "203.0.113.0/24",
    "EIG_BUDGET_START_DATE": "2026-12-01",
}


def templates() -> list[Path]:
    """Every Bicep file."""
    return sorted(BICEP.rglob("*.bicep"))


@cache
def estate(stage: str) -> Deployment:
    """What the parameters of a stage would deploy."""
    name = stage if stage in PARAMETER_FILES else "prod"
    template, parameters = parameters_of(BICEP / "params" / f"{name}.bicepparam", VARIABLES)
    return evaluate(template, parameters | CHANGES.get(stage, {}), VARIABLES)


@cache
def witness() -> Deployment:
    """The witness as somebody else's deployment."""
    given = {
        "location": "australiaeast",
        "witnessName": "eig.example.org/audit-log/witness",
        "logVerifier": "eig.example.org/audit-log+00000000+AAAA",
        "logStorageUrl": "https://stevlog.blob.core.windows.net/",
        "appPrincipalId": PLATFORM,
        "workspaceId": "/subscriptions/s/workspaces/w",
        "operatorEmails": ["auditors@example.org"],
    }
    return evaluate(BICEP / "witness.bicep", given, {})


@cache
def upload_events() -> Deployment:
    """The second template, which is deployed when the app runs."""
    names = {"topicName": "t", "hostAccountName": "h", "deadLetterContainer": "d", "appName": "a"}
    return evaluate(BICEP / "uploads.bicep", names, {})
