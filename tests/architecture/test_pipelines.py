"""The pipelines cannot run here: what can be read of them is checked."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DEVOPS = ROOT / "azure-pipelines.yml"
CHECKOV = ROOT / "bicep" / ".checkov.yaml"
FILES = [*WORKFLOWS, DEVOPS, ROOT / "azure.yaml", CHECKOV]
PATHS = re.compile(
    r"\b((?:bicep|tests|docs|tools)/[\w./-]+|\.ci/run|local\.settings\.json\.example)"
)
VARIABLE = re.compile(r"readEnvironmentVariable\('(\w+)'(\s*,)?")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(path)["jobs"]
    return found


def parameters(stage: str) -> dict[str, bool]:
    """The variables that a parameter file reads; True if it must be set."""
    text = (ROOT / "bicep" / "params" / f"{stage}.bicepparam").read_text("utf-8")
    return {name: not comma for name, comma in VARIABLE.findall(text)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_is_yaml_and_names_files_that_exist(path: Path) -> None:
    assert read(path)
    for name in PATHS.findall(path.read_text("utf-8")):
        assert "$" in name or (ROOT / name.rstrip("./")).exists() or name.endswith("params/"), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_end_by_themselves_and_wait_for_jobs_that_exist(path: Path) -> None:
    found = jobs(path)
    for name, job in found.items():
        needs = job.get("needs", [])
        assert {needs} if isinstance(needs, str) else set(needs) <= set(found), name
        assert "uses" in job or job["timeout-minutes"] <= 60, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_version_and_may_only_read(path: Path) -> None:
    steps = [step for job in jobs(path).values() for step in job.get("steps", [])]
    for step in steps:
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "actions/none@v1"))
    assert read(path)["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_jobs_that_sign_in_can_get_an_identity(path: Path) -> None:
    for name, job in jobs(path).items():
        signs_in = any("azure/login" in step.get("uses", "") for step in job.get("steps", []))
        wanted = {"contents": "read", "id-token": "write"} if signs_in else {"contents": "read"}
        assert job.get("permissions", {"contents": "read"}) == wanted, name


def test_both_pythons_are_tested() -> None:
    workflow = jobs(ROOT / ".github" / "workflows" / "ci.yml")["test"]
    assert workflow["strategy"]["matrix"]["python"] == ["3.11", "3.12"]
    suite = read(DEVOPS)["stages"][0]["jobs"][0]
    versions = {each["python"] for each in suite["strategy"]["matrix"].values()}
    assert versions == {"3.11", "3.12"}


def test_deployment_passes_tests_what_if_and_smoke_in_this_order() -> None:
    found = jobs(ROOT / ".github" / "workflows" / "deploy.yml")
    assert found["what-if"]["needs"] == found["build"]["needs"] == "test"
    assert set(found["deploy"]["needs"]) == {"build", "what-if"}
    assert found["smoke"]["needs"] == "deploy"


def test_suite_runs_by_url_after_a_deployment_that_trusts_its_simulators() -> None:
    """The variable that makes the suite run is the one that makes the app trust them."""
    workflow = read(ROOT / ".github" / "workflows" / "deploy.yml")
    ready, suite = workflow["jobs"]["smoke"]["steps"][-2:]
    assert "if" not in ready and "health/ready" in ready["run"]
    assert suite["if"] == "inputs.stage == 'dev' && env.EIG_TARGET_SIMULATORS != ''"
    assert suite["run"].endswith("pytest tests/integration")
    devops = DEVOPS.read_text("utf-8")
    assert '[ "${{ parameters.stage }}" = dev ] && [ -n "${EIG_TARGET_SIMULATORS:-}" ]' in devops
    assert "EIG_TARGET_SIMULATORS" in parameters("dev")
    assert "EIG_TARGET_SIMULATORS" not in parameters("prod")


def test_deployment_gives_every_variable_that_the_parameters_read() -> None:
    given = read(ROOT / ".github" / "workflows" / "deploy.yml")["env"]
    assert set(parameters("prod")) | set(parameters("dev")) <= set(given)
    needed = {name for name, must in parameters("prod").items() if must}
    for compiling in compilations():
        assert needed <= set(compiling["env"])


def test_operators_are_told_of_every_variable_that_the_parameters_read() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    table = page.partition("| variable |")[2].partition("\n\n")[0]
    told = {
        name
        for row in table.splitlines()[2:]
        for name in re.findall(r"`(EIG_\w+)`", row.split("|")[1])
    }
    assert told == (set(parameters("prod")) | set(parameters("dev"))) - {"AZURE_ENV_NAME"}


def test_variable_that_must_be_json_is_never_empty() -> None:
    given = read(ROOT / ".github" / "workflows" / "deploy.yml")["env"]
    for stage in ("dev", "prod"):
        text = (ROOT / "bicep" / "params" / f"{stage}.bicepparam").read_text("utf-8")
        for name in re.findall(r"json\(readEnvironmentVariable\('(\w+)', '{}'\)\)", text):
            assert given[name] == f"${{{{ vars.{name} || '{{}}' }}}}"  # GitHub sets what is missing
    assert "EIG_EXTRA_SETTINGS" in given


def compilations() -> list[dict[str, Any]]:
    """The step of either pipeline that runs Bicep's own compiler."""
    github = jobs(ROOT / ".github" / "workflows" / "ci.yml")["infra"]["steps"]
    (devops,) = [job for job in read(DEVOPS)["stages"][0]["jobs"] if job["job"] == "infra"]
    steps = [*github, *devops["steps"]]
    found = [step for step in steps if "Compile" in (step.get("name"), step.get("displayName"))]
    assert len(found) == 2
    return found


def test_both_pipelines_compile_every_template_and_every_parameter_file() -> None:
    templates = {path.name for path in (ROOT / "bicep").glob("*.bicep")}
    stages = {path.name for path in (ROOT / "bicep" / "params").glob("*.bicepparam")}
    for compiling in compilations():
        commands = compiling.get("run") or compiling["script"]
        assert set(re.findall(r"build --file bicep/(\S+)", commands)) == templates
        assert set(re.findall(r"build-params --file bicep/params/(\S+)", commands)) == stages


def test_both_pipelines_run_the_suite_against_core_tools_with_the_same_access() -> None:
    github = jobs(ROOT / ".github" / "workflows" / "ci.yml")["core-tools"]
    (devops,) = [job for job in read(DEVOPS)["stages"][0]["jobs"] if job["job"] == "core_tools"]
    for job in (github, devops):
        text = json.dumps(job)
        assert "func start" in text and "pytest tests/integration" in text
        assert set(re.findall(r"EIG_TARGET\w*", text)) == {
            *("EIG_TARGET", "EIG_TARGET_SIMULATORS", "EIG_TARGET_STORAGE")
        }


def test_make_targets_of_the_pipelines_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for path in (*WORKFLOWS, DEVOPS):
        for target in re.findall(r"\bmake (\w+)", path.read_text("utf-8")):
            assert f"\n{target}:" in makefile, target


def test_azd_finds_its_template() -> None:
    project = read(ROOT / "azure.yaml")
    infra = project["infra"]
    assert (ROOT / infra["path"] / f"{infra['module']}.bicepparam").exists()
    assert project["services"]["app"] == {"project": ".", "language": "python", "host": "function"}
    tag = "'azd-service-name': 'app'"
    assert tag in (ROOT / "bicep" / "modules" / "function_app.bicep").read_text("utf-8")


def test_every_skipped_check_says_why() -> None:
    lines = [line for line in CHECKOV.read_text("utf-8").splitlines() if "CKV_" in line]
    assert len(lines) == len(set(read(CHECKOV)["skip-check"]))
    for line in lines:
        assert re.fullmatch(r"  - CKV_AZURE_\d+ # \S.{10,}", line), line
