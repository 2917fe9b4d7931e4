"""Indexes the app once, as the Python worker does: its functions, their bindings, their code."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import azure.functions as func

from devhost.host.errors import FunctionLoadError, HostStartError
from devhost.host.options import resolve_settings
from devhost.host.parameter_checks import ParameterPlan, check_parameters

Binding = dict[str, Any]

DEFAULT_SCRIPT = "function_app.py"
DURABLE_NAME_KEYS = {
    "orchestrationTrigger": "orchestration",
    "activityTrigger": "activity",
    "entityTrigger": "entityName",
}
TRIGGER_TYPES = frozenset({"httpTrigger", "timerTrigger", "blobTrigger", *DURABLE_NAME_KEYS})
OTHER_BINDING_TYPES = frozenset({"http", "durableClient"})

# `get_functions()` registers names in the app object, so a second call raises: remember the first.
_indexed: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()


@dataclass(frozen=True)
class LoadedFunction:
    """One function of the app: the code to call and everything known about its parameters."""

    name: str
    code: Callable[..., Any]
    is_async: bool
    trigger: Binding
    bindings: tuple[Binding, ...]
    plan: ParameterPlan
    directory: str

    @property
    def trigger_type(self) -> str:
        return str(self.trigger["type"])

    @property
    def durable_name(self) -> str:
        """The name that orchestrators use: the binding's own, else the function's."""
        return str(self.trigger.get(DURABLE_NAME_KEYS[self.trigger_type]) or self.name)


@dataclass(frozen=True)
class AppFunctions:
    """All functions of the app; durable names compare without regard to case."""

    all: tuple[LoadedFunction, ...]
    _durable: dict[tuple[str, str], LoadedFunction] = field(init=False, repr=False)
    _by_name: dict[str, LoadedFunction] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        durable: dict[tuple[str, str], LoadedFunction] = {}
        for function in self.all:
            if function.trigger_type in DURABLE_NAME_KEYS:
                key = (function.trigger_type, function.durable_name.casefold())
                if key in durable:
                    raise FunctionLoadError(
                        function.name,
                        f"the durable name '{function.durable_name}' is taken already "
                        f"by {durable[key].name}.",
                    )
                durable[key] = function
        object.__setattr__(self, "_durable", durable)
        object.__setattr__(self, "_by_name", {f.name.casefold(): f for f in self.all})

    def named(self, name: str) -> LoadedFunction | None:
        return self._by_name.get(name.casefold())

    def with_trigger(self, trigger_type: str) -> list[LoadedFunction]:
        return [function for function in self.all if function.trigger_type == trigger_type]

    def orchestrator(self, name: str) -> LoadedFunction | None:
        return self._durable.get(("orchestrationTrigger", name.casefold()))

    def activity(self, name: str) -> LoadedFunction | None:
        return self._durable.get(("activityTrigger", name.casefold()))

    def entity(self, name: str) -> LoadedFunction | None:
        return self._durable.get(("entityTrigger", name.casefold()))

    def known_names(self, trigger_type: str) -> str:
        """A readable list for the text of an 'unknown function' error."""
        names = sorted(f.durable_name for f in self.with_trigger(trigger_type))
        return ", ".join(f"'{name}'" for name in names) or "(none)"


def load_app(app_root: Path) -> AppFunctions:
    """Imports the app module of `app_root` and indexes its one app object."""
    app = _find_app(_import_app_module(app_root))
    if app not in _indexed:
        try:
            _indexed[app] = list(app.get_functions())
        except ValueError as error:
            raise HostStartError(f"The app cannot be indexed: {error}") from error
    return AppFunctions(tuple(_load(function, app_root) for function in _indexed[app]))


def _import_app_module(app_root: Path) -> ModuleType:
    script = os.environ.get("PYTHON_SCRIPT_FILE_NAME", DEFAULT_SCRIPT)
    path = (app_root / script).resolve()
    if not path.is_file():
        raise HostStartError(f"There is no {script} in {app_root}.")
    module_name = path.stem
    loaded = sys.modules.get(module_name)
    if loaded is not None and Path(str(loaded.__file__)).resolve() != path:
        del sys.modules[module_name]  # another app's module of the same name in this process
    root = str(app_root.resolve())
    if sys.path[:1] != [root]:
        sys.path.insert(0, root)
    return importlib.import_module(module_name)


def _find_app(module: ModuleType) -> Any:
    apps: Iterable[Any] = (getattr(module, name, None) for name in module.__dir__())
    distinct = {id(app): app for app in apps if isinstance(app, func.FunctionRegister)}
    if len(distinct) > 1:
        raise HostStartError(
            f"More than one top level function app instance is defined in {module.__name__}."
        )
    if not distinct:
        raise HostStartError(f"No top level function app instance was found in {module.__name__}.")
    return next(iter(distinct.values()))


def _load(function: Any, app_root: Path) -> LoadedFunction:
    name = str(function.get_function_name())
    bindings = tuple(
        _resolved(name, binding) for binding in json.loads(function.get_function_json())["bindings"]
    )
    triggers = [binding for binding in bindings if str(binding["type"]).endswith("Trigger")]
    for binding in bindings:
        if binding["type"] not in TRIGGER_TYPES | OTHER_BINDING_TYPES:
            raise FunctionLoadError(
                name, f"the binding type '{binding['type']}' is not emulated by the local host."
            )
    if function.get_settings_dict("retry_policy"):
        raise FunctionLoadError(name, "retry policies are not emulated by the local host.")
    code = function.get_user_function()
    return LoadedFunction(
        name=name,
        code=code,
        is_async=inspect.iscoroutinefunction(code),
        trigger=triggers[0],
        bindings=bindings,
        plan=check_parameters(name, code, bindings),
        directory=str(app_root),
    )


def _resolved(function_name: str, binding: Binding) -> Binding:
    where = f"function {function_name}"
    return {
        key: resolve_settings(value, where) if isinstance(value, str) else value
        for key, value in binding.items()
    }
