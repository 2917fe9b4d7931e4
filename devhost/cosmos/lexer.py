"""Splits the text of a query into tokens."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal, cast

from devhost.cosmos.errors import ServiceError, bad_request

QUERY_CHARS_MAX = 512 * 1024  # service limit for the text of a query

Kind = Literal["name", "number", "string", "parameter", "symbol", "end"]

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<parameter>@[A-Za-z_][A-Za-z0-9_]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<symbol><=|>=|!=|<>|\|\||\?\?|<<|>>>|>>|[-+*/%=<>(){}\[\],.:?|&^~])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: dict[str, str] = {"'": "'", '"': '"', "\\": "\\", "/": "/"} | {
    letter: json.loads(f'"\\{letter}"') for letter in "bfnrt"
}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is the value for strings (unescaped) and the source text otherwise."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The upper-case spelling of a name; other kinds are never a keyword."""
        return self.text.upper() if self.kind == "name" else ""


def syntax_error(near: str, start: int, end: int) -> ServiceError:
    """The service's 400 for a query that cannot be parsed."""
    detail = {
        "errors": [
            {
                "severity": "Error",
                "location": {"start": start, "end": end},
                "code": "SC1001",
                "message": f"Syntax error, incorrect syntax near '{near}'.",
            }
        ]
    }
    return bad_request(f"Message: {json.dumps(detail)}")


def tokenize(text: str) -> list[Token]:
    """All tokens, the last one of kind "end"; raises 400 at the first unknown character."""
    if len(text) > QUERY_CHARS_MAX:
        raise bad_request(f"The SQL query text exceeded the maximum limit of {QUERY_CHARS_MAX}.")
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise syntax_error(text[at], at, at + 1)
        at = match.end()
        kind = match.lastgroup
        if kind == "string":
            tokens.append(Token("string", _unescaped(match), match.start(), at))
        elif kind in ("name", "number", "parameter", "symbol"):
            tokens.append(Token(cast(Kind, kind), match.group(), match.start(), at))
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


def _unescaped(match: re.Match[str]) -> str:
    body = match.group()[1:-1]
    if "\\" not in body:
        return body

    def replaced(escape: re.Match[str]) -> str:
        code = escape.group(1)
        if len(code) > 1:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            raise syntax_error(escape.group(), match.start(), match.end())
        return _ESCAPES[code]

    plain = _ESCAPE.sub(replaced, body)
    # A pair of \u escapes is one character, as in JSON.
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
