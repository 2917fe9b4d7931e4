"""Bicep's built-in functions, as far as our templates use them; ids and hashes are stand-ins."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

SUBSCRIPTION: Final = "00000000-0000-0000-0000-00000000005b"
TENANT: Final = "00000000-0000-0000-0000-00000000007e"


class Later(str):
    """A value that only a deployment knows: a text that says where it would come from."""

    def later(self, name: str) -> "Later":
        return Later(f"{self.removesuffix('>')}.{name}>")


def _unique_string(*parts: str) -> str:
    return "u" + hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def _guid(*parts: str) -> str:
    digest = hashlib.sha256("|".join(parts).encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def resource_path(kind: str, names: list[str]) -> str:
    """`a.b/c/d` and [x, y] become `a.b/c/x/d/y`."""
    provider, *types = kind.split("/")
    return "/".join([provider, *(part for pair in zip(types, names, strict=True) for part in pair)])


def _subscription_resource_id(kind: str, *names: str) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/providers/{resource_path(kind, list(names))}"


def _union(*values: Any) -> Any:
    if isinstance(values[0], dict):
        merged: dict[str, Any] = {}
        for value in values:
            merged |= value
        return merged
    return list(dict.fromkeys(item for value in values for item in value))


def _contains(where: Any, what: Any) -> bool:
    return what in where


def _concat(*values: Any) -> Any:
    if isinstance(values[0], list):
        return [item for value in values for item in value]
    return "".join(values)


def _items(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value[key]} for key in sorted(value)]


def _replace(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


def _environment() -> dict[str, Any]:
    return {
        "name": "AzureCloud",
        "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
        "suffixes": {"storage": "core.windows.net", "keyvaultDns": ".vault.azure.net"},
    }


def _to_object(
    values: list[Any], key: Callable[[Any], str], value: Callable[[Any], Any] = lambda each: each
) -> dict[str, Any]:
    return {key(each): value(each) for each in values}


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "array": lambda value: value if isinstance(value, list) else [value],
    "concat": _concat,
    "contains": _contains,
    "empty": lambda value: not value,
    "endsWith": lambda text, end: text.lower().endswith(end.lower()),
    "environment": _environment,
    "filter": lambda values, test: [value for value in values if test(value)],
    "first": lambda value: value[0],
    "flatten": lambda values: [item for value in values for item in value],
    "format": lambda text, *values: text.format(*values),
    "guid": _guid,
    "int": int,
    "items": _items,
    "join": lambda values, between: between.join(values),
    "json": json.loads,
    "last": lambda value: value[-1],
    "length": len,
    "map": lambda values, change: [change(value) for value in values],
    "range": lambda first, count: list(range(first, first + count)),
    "replace": _replace,
    "split": lambda text, at: text.split(at),
    "startsWith": lambda text, start: text.lower().startswith(start.lower()),
    "string": lambda value: value if isinstance(value, str) else json.dumps(value),
    "subscription": lambda: {
        "id": f"/subscriptions/{SUBSCRIPTION}",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
    },
    "subscriptionResourceId": _subscription_resource_id,
    "substring": lambda text, at, count: text[at : at + count],
    "take": lambda value, count: value[:count],
    "tenant": lambda: {"tenantId": TENANT},
    "toLower": lambda text: text.lower(),
    "toObject": _to_object,
    "tenantResourceId": lambda kind, *names: f"/providers/{resource_path(kind, list(names))}",
    "toUpper": lambda text: text.upper(),
    "union": _union,
    "uniqueString": _unique_string,
    "utcNow": lambda form="": "2026-11-01",
}
CONTEXT_FUNCTIONS: Final = frozenset(
    {
        "deployment",
        "listKeys",
        "loadJsonContent",
        "loadTextContent",
        "readEnvironmentVariable",
        "resourceGroup",
        "resourceId",
    }
)
METHODS: Final = frozenset({"listKeys", "getSecret"})
