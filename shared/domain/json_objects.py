"""JSON objects as they were written: a name that stands twice is refused, not overwritten.

Two readers may take different ones of the two values: what one checked, the other would carry out.
"""

import re
from typing import Any, Final

from shared.errors import FieldFault

_KEY_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class RepeatedNameError(ValueError):
    """An object has two values of one name."""

    def __init__(self, name: str) -> None:
        super().__init__("a name is written twice")
        self.fault = FieldFault(field_path(name), "it is written twice: keep one")


def field_path(name: str) -> str:
    """The path of a field; odd names are not repeated: they may be misplaced prompt text."""
    return f"/{name}" if _KEY_NAME.fullmatch(name) else ""


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs, for `object_pairs_hook`; raises RepeatedNameError."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise RepeatedNameError(name)
        found[name] = value
    return found
