"""Refuses at start what the Python worker refuses: parameters that do not match the bindings.

Mirrors `azure_functions_worker/functions.py` (Azure/azure-functions-python-worker).
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions._thirdparty import typing_inspect as untyped_inspect

from devhost.host.converters import converter
from devhost.host.errors import FunctionLoadError

typing_inspect: Any = untyped_inspect

RETURN_BINDING = "$return"
# The return value of these is their output, without a `$return` binding.
IMPLICIT_OUTPUT_TYPES = frozenset({"activityTrigger", "orchestrationTrigger", "entityTrigger"})


@dataclass(frozen=True)
class ParameterPlan:
    """Which parameters the call needs; `annotations` holds the resolved type of each, if any."""

    requires_context: bool
    has_return_binding: bool
    outputs: frozenset[str]
    annotations: dict[str, Any]


def check_parameters(
    function_name: str, code: Callable[..., Any], bindings: Iterable[dict[str, Any]]
) -> ParameterPlan:
    """Checks the signature of `code` against its bindings; raises FunctionLoadError."""
    try:
        annotations = typing.get_type_hints(code)
    except (NameError, TypeError) as error:
        raise FunctionLoadError(
            function_name, f"a type hint cannot be resolved at run time: {error}"
        ) from error
    bound = {str(binding["name"]): binding for binding in bindings}
    returned = bound.pop(RETURN_BINDING, None)
    params = set(inspect.signature(code).parameters)
    requires_context = "context" in params and "context" not in bound
    if requires_context:
        params.discard("context")
        _check_context(function_name, annotations)
    _check_same_names(function_name, params, set(bound))
    for name in sorted(params):
        if name in annotations:
            _check_annotation(function_name, bound[name], annotations[name])
    if returned is not None and "return" in annotations:
        _check_return(function_name, returned, annotations["return"])
    return ParameterPlan(
        requires_context=requires_context,
        has_return_binding=returned is not None,
        outputs=frozenset(name for name in bound if _is_output(bound[name])),
        annotations=annotations,
    )


def _is_output(binding: dict[str, Any]) -> bool:
    return str(binding.get("direction", "IN")).upper() == "OUT"


def _check_context(function_name: str, annotations: dict[str, Any]) -> None:
    annotation = annotations.get("context")
    if annotation is None:
        return
    if not isinstance(annotation, type) or annotation.__name__ != "Context":
        raise FunctionLoadError(
            function_name,
            "the 'context' parameter is expected to be of type azure.functions.Context, "
            f"got {annotation!r}",
        )


def _check_same_names(function_name: str, params: set[str], bound: set[str]) -> None:
    if params - bound:
        raise FunctionLoadError(
            function_name,
            f"these parameters are declared in Python but have no binding: {params - bound!r}",
        )
    if bound - params:
        raise FunctionLoadError(
            function_name,
            f"these bindings have no parameter in Python: {bound - params!r}",
        )


def _check_annotation(function_name: str, binding: dict[str, Any], annotation: Any) -> None:
    name, is_output = binding["name"], _is_output(binding)
    is_out_type = _is_out_type(annotation)
    python_type = typing_inspect.get_args(annotation)[0] if is_out_type else annotation
    if not isinstance(python_type, type) and not typing_inspect.is_generic_type(python_type):
        raise FunctionLoadError(
            function_name,
            f"binding {name} has invalid non-type annotation {annotation!r}: "
            "use a plain type such as dict, list or str",
        )
    if is_output != is_out_type:
        raise FunctionLoadError(
            function_name,
            f"binding {name} has the direction '{'out' if is_output else 'in'}', "
            f"which does not fit its annotation {annotation!r}",
        )
    if not _accepts(str(binding["type"]), python_type, is_output):
        raise FunctionLoadError(
            function_name,
            f"the type of binding {name} ('{binding['type']}') does not match its Python "
            f"annotation {python_type!r}",
        )


def _is_out_type(annotation: Any) -> bool:
    origin = typing_inspect.get_origin(annotation)
    return origin is func.Out or annotation is func.Out


def _accepts(binding_type: str, python_type: Any, is_output: bool) -> bool:
    if python_type in (str, bytes) and binding_type not in IMPLICIT_OUTPUT_TYPES:
        return True  # the worker's generic binding takes text and bytes anywhere
    if is_output:
        return bool(converter(binding_type).check_output_type_annotation(python_type))
    return bool(converter(binding_type).check_input_type_annotation(python_type))


def _check_return(function_name: str, binding: dict[str, Any], annotation: Any) -> None:
    if not isinstance(annotation, type):
        raise FunctionLoadError(
            function_name, f"has invalid non-type return annotation {annotation!r}"
        )
    if not _accepts(str(binding["type"]), annotation, is_output=True):
        raise FunctionLoadError(
            function_name,
            f"the Python return annotation {annotation.__name__!r} does not match the binding "
            f"type '{binding['type']}'",
        )
