"""Bicep text as tokens; a string carries its pieces, interpolations still as source text."""

import re
from dataclasses import dataclass
from typing import Final

_SKIPPED: Final = re.compile(r"[ \t\r]+|//[^\n]*|/\*.*?\*/", re.DOTALL)
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INT: Final = re.compile(r"[0-9]+")
_SIGNS: Final = (
    "...", "=>", "==", "!=", "=~", "!~", "<=", ">=", "&&", "||", "??", ".?", "::",
    "{", "}", "[", "]", "(", ")", ":", ",", ".", "?", "=", "!", "<", ">", "+", "-", "*", "/", "%",
    "@", "|",
)  # fmt: skip
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "'": "'", "\\": "\\", "$": "$"}


class BicepSyntaxError(Exception):
    """A text that is not Bicep, with its place."""


@dataclass(frozen=True)
class Source:
    """The text of one `${...}`, and the line it stands on."""

    text: str
    line: int


@dataclass(frozen=True)
class Token:
    """`kind` is word, int, string, newline, sign or end."""

    kind: str
    text: str
    line: int
    parts: tuple[str | Source, ...] = ()


def tokenize(text: str, first_line: int = 1) -> list[Token]:
    """The tokens of a file; comments and blanks are gone, line ends are not."""
    tokens: list[Token] = []
    at, line = 0, first_line
    while at < len(text):
        skipped = _SKIPPED.match(text, at)
        if skipped:
            line += skipped.group().count("\n")
            at = skipped.end()
            continue
        token, end = _next(text, at, line)
        tokens.append(token)
        line += text.count("\n", at, end)
        at = end
    tokens.append(Token("end", "", line))
    return tokens


def _next(text: str, at: int, line: int) -> tuple[Token, int]:
    if text[at] == "\n":
        return Token("newline", "\n", line), at + 1
    if text.startswith("'''", at):
        return _raw_string(text, at, line)
    if text[at] == "'":
        return _string(text, at, line)
    for kind, pattern in (("word", _WORD), ("int", _INT)):
        found = pattern.match(text, at)
        if found:
            return Token(kind, found.group(), line), found.end()
    for sign in _SIGNS:
        if text.startswith(sign, at):
            return Token("sign", sign, line), at + len(sign)
    raise BicepSyntaxError(f"line {line}: {text[at]!r} is no part of the language")


def _raw_string(text: str, at: int, line: int) -> tuple[Token, int]:
    end = text.find("'''", at + 3)
    if end < 0:
        raise BicepSyntaxError(f"line {line}: a ''' string does not end")
    body = text[at + 3 : end].removeprefix("\n")
    return Token("string", body, line, (body,)), end + 3


def _string(text: str, at: int, line: int) -> tuple[Token, int]:
    parts: list[str | Source] = []
    plain = ""
    at += 1
    while text[at : at + 1] != "'":
        if at >= len(text) or text[at] == "\n":
            raise BicepSyntaxError(f"line {line}: a string does not end")
        if text.startswith("${", at):
            end = _end_of_interpolation(text, at + 2, line)
            parts += [plain, Source(text[at + 2 : end], line)]
            plain, at = "", end + 1
        elif text[at] == "\\":
            if text[at + 1] not in _ESCAPES:
                raise BicepSyntaxError(f"line {line}: \\{text[at + 1]} is no escape")
            plain += _ESCAPES[text[at + 1]]
            at += 2
        else:
            plain += text[at]
            at += 1
    parts.append(plain)
    return Token("string", "", line, tuple(parts)), at + 1


def _end_of_interpolation(text: str, at: int, line: int) -> int:
    """The place of the brace that closes `${`; strings inside may hold braces of their own."""
    depth = 0
    while at < len(text) and text[at] != "\n":
        if text[at] == "'":
            _, at = _string(text, at, line)
            continue
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    raise BicepSyntaxError(f"line {line}: an interpolation does not end")
