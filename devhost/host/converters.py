"""The SDK's own converters between trigger values and the wire: what Azure's worker uses."""

from __future__ import annotations

from typing import Any

import azure.functions as func
from azure.functions.meta import Datum


def converter(binding_type: str) -> Any:
    """The converter class registered for a binding type; None when there is none."""
    return func.get_binding_registry().get(binding_type)


def decode(binding_type: str, datum: Datum, metadata: dict[str, Datum] | None = None) -> Any:
    """The Python value of a trigger; raises what the converter raises."""
    return converter(binding_type).decode(datum, trigger_metadata=metadata or {})


def encode(binding_type: str, value: Any) -> Datum:
    """The wire form of a result; raises what the converter raises."""
    datum: Datum = converter(binding_type).encode(value, expected_type=None)
    return datum
