"""The local cloud's settings, ports and command line."""

import json
import os
import re
import socket
from pathlib import Path

import pytest

from devhost.__main__ import main
from devhost.local_settings import setting_values, settings_json
from devhost.ports import PortProblem, Ports, free_ports, offset_from, require_free
from devhost.resources import read_resources
from devhost.stack import (
    REPOSITORY,
    StackOptions,
    environment_without_settings,
    stack_environment,
)
from shared.services.organisation import OrganisationFile
from shared.settings import load_settings


def test_local_settings_example_is_what_the_stack_uses() -> None:
    example = (REPOSITORY / "local.settings.json.example").read_text("utf-8")
    assert example == settings_json(Ports())


def test_local_settings_are_complete_for_the_app() -> None:
    settings = load_settings(setting_values(Ports().shifted(1_000)))
    assert settings.cosmos_endpoint == "http://127.0.0.1:9081"
    assert settings.replicate_output_hosts == {"127.0.0.1:9400"}


def test_local_settings_reach_loopback_only() -> None:
    for value in setting_values(Ports()).values():
        assert value.count("http") == value.count("http://127.0.0.1:") + value.count(
            "Protocol=http"
        )


def test_leftover_export_reaches_no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    source = (REPOSITORY / "shared/settings.py").read_text("utf-8")
    kept = {"EIG_DEVHOST_PORT_OFFSET": "5", "PATH": "/bin", "SSL_CERT_FILE": "/ca.pem"}
    real = "https://stevprod.blob.core.windows.net/"
    exported = {
        **dict.fromkeys(re.findall(r'"(EIG_[A-Z_]+)"', source), real),
        "AZURE_CLIENT_ID": "c",
        "AzureWebJobsStorage": real,
        "APPLICATIONINSIGHTS_CONNECTION_STRING": real,
    }
    for name in dict(os.environ):
        monkeypatch.delenv(name)
    for name, value in {**exported, **kept}.items():
        monkeypatch.setenv(name, value)
    assert environment_without_settings() == kept
    assert real not in stack_environment(StackOptions()).values()


def test_example_organisation_knows_the_demo_users_of_its_tenant() -> None:
    content = json.loads((REPOSITORY / "examples/organisation.json").read_text("utf-8"))
    organisation = OrganisationFile.model_validate(content)
    people = json.loads((REPOSITORY / "devhost/simulators/users.json").read_text("utf-8"))
    demo = {
        each["oid"]: each.get("department")
        for each in [*people["users"], *people["pipelines"]]
        if each["tenant"] == organisation.tenant_id
    }
    known = {user.object_id: user.department_id for user in organisation.users}
    assert known.keys() == demo.keys()
    assert all(known[oid] == department for oid, department in demo.items() if department)


def test_resources_name_the_containers_once() -> None:
    resources = read_resources()
    names = [container.id for container in resources.containers]
    assert len(set(names)) == len(names)
    assert {"uploads", "images"} <= set(resources.blob_containers)


def test_ports_shift_together() -> None:
    assert Ports().shifted(5) == Ports(7076, 8086, 8405, 10005, 10006, 10007)


@pytest.mark.parametrize("offset", [60_000, -8_000])
def test_ports_shifted_out_of_range_are_refused(offset: int) -> None:
    with pytest.raises(PortProblem, match="leaves the range"):
        Ports().shifted(offset)


def test_port_offset_comes_from_the_environment() -> None:
    assert offset_from({}) == 0
    assert offset_from({"EIG_DEVHOST_PORT_OFFSET": " 40 "}) == 40
    with pytest.raises(PortProblem, match="whole number, not 'many'"):
        offset_from({"EIG_DEVHOST_PORT_OFFSET": "many"})


def test_port_in_use_is_named_with_its_part_and_the_way_out() -> None:
    ports = free_ports()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", ports.cosmos))
        listener.listen()
        with pytest.raises(PortProblem) as problem:
            require_free(ports)
        require_free(ports, except_for=frozenset({"cosmos"}))
    text = str(problem.value)
    assert f"port {ports.cosmos}, for the Cosmos DB emulator" in text
    assert "EIG_DEVHOST_PORT_OFFSET=1000" in text
    assert str(ports.host) not in text


def test_command_line_port_in_use_exits_with_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ports = free_ports()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", ports.host))
        listener.listen()
        offset = str(ports.host - Ports().host)
        code = main(["up", "--port-offset", offset, "--data-dir", str(tmp_path)])
    assert code == 2
    assert f"port {ports.host}, for the Functions host" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["seed"], ["resources"], ["demo", "--running"]])
def test_command_line_without_a_running_stack_says_how_to_start_it(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    offset = str(free_ports().cosmos - Ports().cosmos)
    assert main([*command, "--port-offset", offset]) == 2
    error = capsys.readouterr().err
    assert "for the Cosmos DB emulator" in error
    assert "make up" in error


def test_command_line_prints_settings_for_other_ports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--port-offset", "7"]) == 0
    values = json.loads(capsys.readouterr().out)["Values"]
    assert values["EIG_COSMOS_ENDPOINT"] == "http://127.0.0.1:8088"


@pytest.mark.parametrize("command", ["up", "emulators", "demo", "azurite", "seed", "settings"])
def test_command_line_helps_with_each_command(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([command, "--help"])
    assert leaving.value.code == 0
    assert "--port-offset" in capsys.readouterr().out
