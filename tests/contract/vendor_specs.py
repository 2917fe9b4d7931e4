"""The vendors' specifications, from a folder that is not part of the project.

Set EIG_VENDOR_SPECS to a folder with these files; without it the tests that need them are skipped:
adobe-firefly-api.json, azure-openai-v1-preview-images-excerpt.json,
azure-openai-2025-03-01-preview-images.json, openai-images-batches.json, replicate-openapi.yml,
replicate-stability-ai-sdxl-latest_version-2024-10-04.json, replicate-recorded-exchanges.json.
"""

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml  # type: ignore[import-untyped]

VARIABLE = "EIG_VENDOR_SPECS"


@cache
def _read(path: Path) -> Any:
    text = path.read_text("utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def document(name: str) -> Any:
    """A specification; skips the test, with the reason, where it is not to be had."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} names no folder with vendor specifications")
    path = Path(folder) / name
    if not path.is_file():
        pytest.skip(f"{name} is not in the folder that {VARIABLE} names")
    return deepcopy(_read(path))


def faults(specification: Mapping[str, Any], schema: Mapping[str, Any], value: Any) -> list[str]:
    """What a schema of an OpenAPI 3.1 document finds amiss in a value, with its place."""
    whole = {**schema, "components": specification["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]


def named(specification: Mapping[str, Any], name: str, value: Any) -> list[str]:
    """The same for a schema by its name."""
    assert name in specification["components"]["schemas"]
    return faults(specification, {"$ref": f"#/components/schemas/{name}"}, value)


def answer_schema(operation: Mapping[str, Any], status: int) -> Mapping[str, Any] | None:
    """The schema of a JSON answer with this status; None if the document has none."""
    responses = operation["responses"]
    response = responses.get(str(status), responses.get("default", {}))
    content = response.get("content", {}).get("application/json")
    schema: Mapping[str, Any] | None = content and content["schema"]
    return schema
