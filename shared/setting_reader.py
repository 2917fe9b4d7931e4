"""Reads settings out of an environment, and collects what is wrong with them."""

from collections.abc import Mapping
from types import MappingProxyType

from shared.domain.content_safety import SafetyThresholds, parse_thresholds
from shared.domain.token_issuers import TokenIssuer, read_token_issuers

UNRESOLVED = "@Microsoft.KeyVault("  # the platform puts the secret there, or leaves this as it is


class Reader:
    """Reads variables and collects what is wrong with them; never puts a value in a message."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.faults: list[str] = []

    def optional(self, name: str) -> str | None:
        value = self._environment.get(name, "").strip()
        if value.startswith(UNRESOLVED):  # else it would serve as a key that anybody can guess
            self.faults.append(f"{name} is a reference to Key Vault that nobody has resolved")
        return value or None

    def required(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            self.faults.append(f"{name} is missing")
        return value or ""

    def text(self, name: str, default: str) -> str:
        return self.optional(name) or default

    def words(self, name: str, default: str = "") -> frozenset[str]:
        return frozenset(self.text(name, default).replace(",", " ").split())

    def number(self, name: str, default: int) -> int:
        value = self.optional(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and int(value) > 0):
            self.faults.append(f"{name} is not a positive whole number")
            return default
        return int(value)

    def thresholds(self, name: str) -> SafetyThresholds:
        try:
            return parse_thresholds(self.text(name, ""))
        except ValueError:
            self.faults.append(f"{name} is no list like violence=2 hate=off")
            return parse_thresholds("")

    def figures(self, name: str) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for word in sorted(self.words(name)):
            key, _, figure = word.partition("=")
            if not (key and figure.isascii() and figure.isdigit() and int(figure) > 0):
                self.faults.append(f"{name} holds something that is not name=number")
                continue
            found[key] = int(figure)
        return MappingProxyType(found)

    def issuers(self, name: str) -> tuple[TokenIssuer, ...]:
        try:
            return read_token_issuers(self.text(name, "[]"))
        except ValueError as error:
            self.faults.append(f"{name}: {error}")
            return ()

    def flag(self, name: str) -> bool:
        value = self.text(name, "false").lower()
        if value not in ("true", "false"):
            self.faults.append(f"{name} is neither true nor false")
        return value == "true"
