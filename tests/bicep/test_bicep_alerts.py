"""Who is called, when, and by what: alerts, rules and the workbook against the code they watch."""

import json
import re
from typing import Any

from functions import names
from shared.domain import vitals
from shared.domain.attempts import Billed, Failure, NotDelivered, Unknown
from shared.domain.provider_health import verdict_of
from tests.bicep.estates import BICEP, estate, witness

ROOT = BICEP.parent
RULES = "Microsoft.Insights/scheduledQueryRules"
METRIC = re.compile(r'"(eig\.[a-z_.]*[a-z])"')  # what ends in . or _ begins many names


def queries() -> str:
    texts = [(BICEP / "workbooks" / "operations.json").read_text("utf-8").replace('\\"', '"')]
    for kind in (RULES, "Microsoft.SecurityInsights/alertRules"):
        texts += [
            json.dumps(each.properties).replace('\\"', '"') for each in estate("full").of_type(kind)
        ]
    return "\n".join(texts)


def test_every_metric_is_looked_at_and_every_look_finds_one() -> None:
    assert set(METRIC.findall(queries())) == {*vitals.GAUGES, *vitals.COUNTERS}


def test_failures_of_a_provider_are_those_that_its_health_counts() -> None:
    ends = {failure: NotDelivered(failure, Billed.NOTHING, "why") for failure in Failure}
    failures = {name for name, end in ends.items() if verdict_of(end) in ("fails", "blocks")}
    assert verdict_of(Unknown("why")) == "fails"
    lists = re.findall(r"Properties\.ending\) in \(([^)]*)\)", queries())
    assert len(lists) == 2  # the alert's and the workbook's
    for named in lists:
        assert set(re.findall(r'"(\w+)"', named)) == {*failures, "unknown"}


def timers() -> dict[str, str]:
    """Each timer with its schedule."""
    return {
        getattr(names, name.removesuffix("_SCHEDULE")): schedule
        for name, schedule in vars(names).items()
        if name.endswith("_SCHEDULE")
    }


def test_queries_name_timers_that_exist() -> None:
    (listed,) = re.findall(r"AppRequests \| where Name in \(([^)]*)\)", queries())
    assert set(re.findall(r'"(\w+)"', listed)) == set(timers())


def alerts() -> dict[str, dict[str, Any]]:
    return {
        each.properties["displayName"].removeprefix("EIG: "): each.properties
        for each in estate("prod").of_type(RULES)
    }


def asked_by(alert: str) -> str:
    query: str = alerts()[alert]["criteria"]["allOf"][0]["query"]
    return query


def test_every_timer_that_stops_calls_somebody() -> None:
    watched = {
        alert: set(re.findall(r'"(\w+)"', asked_by(alert).partition("]")[0]))
        for alert in ("timers-stopped", "nightly-timers-stopped")
    }
    nightly = {timer for timer, schedule in timers().items() if schedule.split()[2] != "*"}
    assert watched["nightly-timers-stopped"] == nightly
    # The witness may be somebody else's: the merge delay tells when it stands still.
    assert watched["timers-stopped"] == set(timers()) - nightly - {names.AUDIT_WITNESS}
    assert "eig.audit.merge_delay_s" in asked_by("audit-log-lags")


def test_alerts_look_back_no_longer_than_azure_allows() -> None:
    minutes = {"PT5M": 5, "PT15M": 15, "PT1H": 60, "P1D": 1440, "P2D": 2880}
    for each in alerts().values():
        assert minutes[each["evaluationFrequency"]] <= minutes[each["windowSize"]]


LOGGED = re.compile(r'logger\.(?:error|exception)\(\s*"([^"]+)"')


def errors_of_evidence() -> dict[str, set[str]]:
    """Loggers that alerts look at, each with its errors as the code says them."""
    found: dict[str, set[str]] = {}
    for path in [*(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").glob("*.py")]:
        text = path.read_text("utf-8")
        for logger in re.findall(r'getLogger\("(eig\.(?:audit_|access_log)\w*)"\)', text):
            found.setdefault(logger, set()).update(LOGGED.findall(text))
    return found


def test_every_error_of_the_evidence_calls_somebody_and_is_in_the_runbook() -> None:
    watched = {
        re.findall(r'contains "([^"]+)"', asked_by(alert))[0]
        for alert in ("evidence-is-doubted", "access-log-has-gaps")
    }
    runbook = (ROOT / "docs" / "operations.md").read_text("utf-8")
    section = runbook.partition("## Evidence in doubt")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| ")]
    told = {phrase.strip() for row in rows[1:] for phrase in row.split(";")}
    said = {error for errors in errors_of_evidence().values() for error in errors}
    assert all(any(start in logger for start in watched) for logger in errors_of_evidence())
    assert len(said) > 10
    assert {error for error in said if not any(phrase in error for phrase in told)} == set()
    assert {phrase for phrase in told if not any(phrase in error for error in said)} == set()


def test_what_alerts_and_rules_look_at_is_never_sampled() -> None:
    host = json.loads((ROOT / "host.json").read_text("utf-8"))
    sampling = host["logging"]["applicationInsights"]["samplingSettings"]
    kept = set(sampling["excludedTypes"].split(";"))
    tables = set(re.findall(r"\bApp(?!Metrics)([A-Z]\w+?)s\b(?= \|)", queries()))  # never sampled
    assert tables == {"Request", "Trace"}
    assert kept == tables | {"Exception"}


def test_every_account_of_evidence_is_watched() -> None:
    (rule,) = [
        each.properties["query"]
        for each in estate("prod").of_type("Microsoft.SecurityInsights/alertRules")
        if "evidence" in each.properties["displayName"]
    ]
    watched = tuple(re.findall(r'AccountName startswith "(\w+)"', rule))
    for container in estate("prod").of_type(
        "Microsoft.Storage/storageAccounts/blobServices/containers"
    ):
        holds_evidence = container.body["name"].startswith("audit")
        assert container.name.startswith(watched) is holds_evidence, container.name


STORAGE = "Microsoft.Storage/storageAccounts"
IMMUTABILITY = f"{STORAGE}/blobServices/containers/immutabilityPolicies"
WALLS = {  # what undoes a wall, whoever does it
    "Microsoft.Authorization/locks/delete",
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Authorization/roleDefinitions/write",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments/delete",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments/write",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions/write",
    "Microsoft.DocumentDB/databaseAccounts/write",
    "Microsoft.Insights/diagnosticSettings/delete",
    "Microsoft.KeyVault/vaults/write",
    f"{IMMUTABILITY}/delete",
    f"{IMMUTABILITY}/write",
    f"{STORAGE}/managementPolicies/write",
}


def test_every_change_of_a_wall_calls_somebody() -> None:
    watched = [
        each.properties["condition"]["allOf"][1]["equals"]
        for each in estate("prod").of_type("Microsoft.Insights/activityLogAlerts")
    ]
    assert sorted(watched) == sorted(WALLS)


def test_every_change_of_a_wall_is_an_incident() -> None:
    """Sentinel sees the whole subscription, an alert of the activity log one group."""
    rules = [
        each.properties["query"].upper()
        for each in estate("prod").of_type("Microsoft.SecurityInsights/alertRules")
        if each.properties["query"].startswith("AzureActivity")
    ]
    named = {text for rule in rules for text in re.findall(r'"([A-Z./]+)"', rule)}
    for operation in WALLS:
        assert any(part in named for part in (operation.upper(), *operation.upper().split("/")))


def test_alerts_point_into_the_runbook() -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text("utf-8").lower()
    for each in [*estate("prod").of_type(RULES), *witness().of_type(RULES)]:
        for section in re.findall(
            r"docs/operations\.md: ([^.\"]+)", each.properties["description"]
        ):
            assert f"## {section}" in runbook
