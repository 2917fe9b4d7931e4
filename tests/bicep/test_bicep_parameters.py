"""What the variables of a deployment come to, above all those that are left out or empty."""

import re

import pytest

from tests.bicep.deployments import Deployment, EvaluationError
from tests.bicep.estates import BICEP, VARIABLES, estate
from tests.bicep.evaluation import evaluate, parameters_of

PROD = BICEP / "params" / "prod.bicepparam"


def networks(found: Deployment) -> tuple[str, list[str]]:
    """What the account of pictures does with a network, and which it lets in all the same."""
    (images,) = [
        each
        for each in found.of_type("Microsoft.Storage/storageAccounts")
        if each.name.startswith("stimg")
    ]
    rules = images.properties["networkAcls"]
    return rules["defaultAction"], [each["value"] for each in rules["ipRules"]]


def needed() -> set[str]:
    """The variables with a star in the runbook, which is held to name them all."""
    page = (BICEP.parent / "docs" / "operations.md").read_text("utf-8")
    return set(re.findall(r"`(EIG_\w+)`\\\*", page.partition("| variable |")[2]))


def test_prod_refuses_what_must_be_set_if_it_is_left_out_or_empty() -> None:
    assert len(needed()) == 5
    for name in needed():
        without = {key: value for key, value in VARIABLES.items() if key != name}
        with pytest.raises(EvaluationError, match=name):
            parameters_of(PROD, without)
        template, parameters = parameters_of(PROD, without | {name: ""})
        with pytest.raises(EvaluationError, match="breaks minLength"):
            evaluate(template, parameters, without)


def test_prod_takes_what_is_left_out_as_empty_and_is_closed_then() -> None:
    given = {name: VARIABLES[name] for name in needed()}
    read = set(re.findall(r"readEnvironmentVariable\('(EIG_\w+)'", PROD.read_text("utf-8")))
    empty = dict.fromkeys(read - needed() - {"EIG_EXTRA_SETTINGS"}, "")  # which is JSON
    template, parameters = parameters_of(PROD, given)
    assert parameters_of(PROD, given | empty) == (template, parameters)
    found = evaluate(template, parameters, given)
    assert networks(found) == ("Deny", [])
    (config,) = found.of_type("Microsoft.Web/sites/config")
    assert config.properties["EIG_TOKEN_AUTHORIZED_PARTIES"] == "none"  # the id of no client
    assert config.properties["EIG_STEP_UP_CONTEXT"] == "c1"
    assert config.properties["EIG_CORS_ORIGINS"] == config.properties["EIG_SCIM_TOKEN_HASHES"] == ""


def test_networks_are_open_to_all_only_where_it_is_said() -> None:
    assert networks(estate("prod")) == ("Deny", [VARIABLES["EIG_CLIENT_NETWORKS"]])
    assert networks(estate("dev")) == ("Allow", [])
