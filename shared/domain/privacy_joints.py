"""What is split between the fields of one request: half of a number in each, whole for a reader."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from shared.domain.identifiers import Finding

JOINT: Final = "\n"  # between two fields when they are read as one


def joined(texts: Mapping[str, str]) -> str | None:
    """All fields of a request as one text; None if there is but one."""
    return JOINT.join(texts.values()) if len(texts) > 1 else None


def crossing(texts: Mapping[str, str], findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """The parts, by field, of what was found across a joint of the joined text."""
    parts: dict[str, list[Finding]] = {name: [] for name in texts}
    begin = 0
    for name, text in texts.items():
        end = begin + len(text)
        for found in findings:
            is_inside = begin <= found.start and found.end <= end
            start, stop = max(found.start, begin), min(found.end, end)
            if not is_inside and start < stop:
                parts[name].append(replace(found, start=start - begin, end=stop - begin))
        begin = end + len(JOINT)
    return parts
