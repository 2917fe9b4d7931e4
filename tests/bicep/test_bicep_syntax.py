"""Nothing here compiles Bicep: two parsers, a check of every name, and an evaluation stand in."""

import json
import shutil
from pathlib import Path

import pytest
from pycep import BicepParser

from tests.bicep.deployments import EvaluationError
from tests.bicep.estates import (
    BICEP,
    PARAMETER_FILES,
    STAGES,
    VARIABLES,
    estate,
    templates,
    upload_events,
)
from tests.bicep.evaluation import evaluate, parameters_of
from tests.bicep.linter import RULES, breaches_of
from tests.bicep.symbols import faults_of
from tests.bicep.syntax import parse_file
from tests.bicep.tokens import BicepSyntaxError

KINDS = {
    "parameters": "param",
    "variables": "var",
    "outputs": "output",
    "resources": "resource",
    "modules": "module",
}


@pytest.fixture(scope="module")
def parser() -> BicepParser:
    return BicepParser()


@pytest.mark.parametrize("path", templates(), ids=lambda path: path.stem)
def test_both_parsers_find_the_same_declarations(path: Path, parser: BicepParser) -> None:
    theirs = parser.parse(text=path.read_text("utf-8"))
    ours = parse_file(path)
    for section, kind in KINDS.items():
        found = {each.name for each in ours if each.kind == kind}
        listed: dict[str, object] = theirs.get(section, {})  # type: ignore[assignment]
        assert found == set(listed), section


@pytest.mark.parametrize("path", templates(), ids=lambda path: path.stem)
def test_every_name_is_declared_used_and_known_in_time(path: Path) -> None:
    assert faults_of(path) == []


def test_every_rule_that_fails_a_compilation_is_checked_here() -> None:
    config = json.loads((BICEP / "bicepconfig.json").read_text("utf-8"))
    levels = {name: each["level"] for name, each in config["analyzers"]["core"]["rules"].items()}
    assert set(RULES) == {name for name, level in levels.items() if level == "error"}


@pytest.mark.parametrize("rule", RULES)
def test_no_template_breaks_a_rule_of_the_linter(rule: str) -> None:
    assert [each for path in templates() for each in breaches_of(path, rule)] == []


@pytest.mark.parametrize("stage", PARAMETER_FILES)
def test_parameters_give_every_value_that_the_template_asks_for(stage: str) -> None:
    template, values = parameters_of(BICEP / "params" / f"{stage}.bicepparam", VARIABLES)
    declared = {each.name: each for each in parse_file(template) if each.kind == "param"}
    assert set(values) <= set(declared)
    assert set(values) >= {name for name, each in declared.items() if each.value is None}


@pytest.mark.parametrize("stage", STAGES)
def test_template_evaluates(stage: str) -> None:
    assert len(estate(stage).resources) > 100


def test_second_template_evaluates_once_the_app_runs() -> None:
    assert upload_events().of_type("Microsoft.EventGrid/systemTopics/eventSubscriptions")


@pytest.mark.parametrize("stage", STAGES)
def test_resources_have_one_name_each(stage: str) -> None:
    ids = [each.id.lower() for each in estate(stage).resources if not each.existing]
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("path", sorted(BICEP.rglob("*.json")), ids=lambda path: path.name)
def test_json_beside_the_templates_is_json(path: Path) -> None:
    assert json.loads(path.read_text("utf-8"))


# What the checks would say of a broken template

BREAKAGES = {
    "a name that nothing declares": ("main.bicep", "token: token", "token: tokens", "tokens"),
    "an output that no module has": (
        "main.bicep",
        "cosmos.outputs.id",
        "cosmos.outputs.ids",
        "ids",
    ),
    "a parameter that is not given": ("main.bicep", "    zones: zones\n", "", "zones"),
    "a parameter that is not known": (
        "main.bicep",
        "    zones: zones\n",
        "    zones: zones\n    zone: zones\n",
        "zone",
    ),
    "a module that does not exist": ("main.bicep", "modules/mail", "modules/post", "post"),
    "a function that does not exist": ("main.bicep", "uniqueString(", "uniqueText(", "uniqueText"),
    "a variable that nothing uses": (
        "main.bicep",
        "var databaseName = 'eig'\n",
        "var databaseName = 'eig'\nvar spare = 1\n",
        "spare",
    ),
    "a loop over what is known later": (
        "modules/mail.bicep",
        "name: 'acs-${token}'",
        "name: 'acs-${emailService.properties.dataLocation}'",
        "later",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_broken_template_is_found(breakage: tuple[str, str, str, str], tmp_path: Path) -> None:
    name, old, new, told = breakage
    copy = tmp_path / "bicep"
    shutil.copytree(BICEP, copy)
    text = (copy / name).read_text("utf-8")
    assert old in text
    (copy / name).write_text(text.replace(old, new, 1), "utf-8")
    assert any(told in fault for fault in faults_of(copy / name))


LINTED = {  # a template that breaks each rule of the linter
    "adminusername-should-not-be-literal": "var a = {\n  adminUsername: 'root'\n}\n",
    "explicit-values-for-loc-params": "module m 'm.bicep' = {\n  name: 'm'\n}\n",
    "no-deployments-resources": (
        "resource r 'Microsoft.Resources/deployments@2024-03-01' = {\n  name: 'r'\n}\n"
    ),
    "no-hardcoded-location": "resource r 'a.b/c@1' = {\n  name: 'r'\n  location: 'here'\n}\n",
    "no-loc-expr-outside-params": "var a = resourceGroup().location\n",
    "no-unused-params": "param a string\n",
    "no-unused-vars": "var a = 1\n",
    "outputs-should-not-contain-secrets": "output o string = listKeys('a', '1').key\n",
    "secure-parameter-default": "@secure()\nparam a string = 'b'\n",
    "secure-secrets-in-params": "param bootstrapSecretHash string = ''\n",
    "use-parent-property": "resource r 'a.b/c/d@1' = {\n  name: '${p}/d'\n}\n",
}


@pytest.mark.parametrize("rule", RULES)
def test_template_that_breaks_a_rule_of_the_linter_is_found(rule: str, tmp_path: Path) -> None:
    file = tmp_path / "t.bicep"
    file.write_text(LINTED[rule], "utf-8")
    (tmp_path / "m.bicep").write_text("param location string = 'here'\n", "utf-8")
    assert len(breaches_of(file, rule)) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("param a string = 1\n", "not a string"),
        ("var a = b\nvar b = a\n", "depends on itself"),
        ("@allowed([\n 'x'\n])\nparam a string = 'y'\n", "allowed"),
        ("@maxValue(3)\nparam a int = 4\n", "maxValue"),
        ("resource a 'x.y/z/w@1' = {\n  name: 'one'\n}\n", "no name of"),
        (
            "resource a 'x.y/z@1' = if (false) {\n  name: 'n'\n}\noutput o string = a.id\n",
            "not deployed",
        ),
    ],
)
def test_template_that_would_not_deploy_is_refused(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "t.bicep"
    file.write_text(text, "utf-8")
    with pytest.raises(EvaluationError, match=told):
        evaluate(file, {}, {})


@pytest.mark.parametrize(
    "text",
    ["param\n", "var a = {\n", "var a = 'b\n", "var a = [1 2]\n", "var a = '${b'\n", "fun x = 1\n"],
)
def test_text_that_is_not_bicep_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "t.bicep"
    file.write_text(text, "utf-8")
    with pytest.raises(BicepSyntaxError):
        parse_file(file)
