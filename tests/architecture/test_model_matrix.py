"""Every route that takes a model stands in the reviewed matrix of rules; no role is above them."""

from typing import Any

from functions.http_operations import OPERATIONS
from tests.model_matrix import RULES, agreed


def takes_a_model(schema: Any) -> bool:
    """Whether a JSON schema has a property `model` anywhere."""
    if isinstance(schema, dict):
        return "model" in schema.get("properties", {}) or any(map(takes_a_model, schema.values()))
    return isinstance(schema, list) and any(map(takes_a_model, schema))


def test_every_route_that_takes_a_model_has_its_rows_and_no_other_has() -> None:
    routes = {
        name
        for name, operation in OPERATIONS.items()
        if operation.body is not None and takes_a_model(operation.body.model_json_schema())
    }
    assert set(agreed()) == {(route, rules) for route in routes for rules in RULES}


def test_rules_stop_every_role_alike_on_every_route() -> None:
    words = {rules: set[str]() for rules in RULES}
    for (_, rules), each in agreed().items():
        words[rules] |= set(each)
    assert words == {
        rules: {"deny" if "model denied" in rules or rules.endswith("denied") else "allow"}
        for rules in RULES
    }
