"""Bodies of answers, be they JSON or anything else."""

import pytest

from shared.adapters.answer_bodies import load_json


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\xff", b"[" * 100_000, b"null"])
def test_load_json_gives_none_for_what_is_not_json(body: bytes) -> None:
    assert load_json(body) is None


def test_load_json_reads_json() -> None:
    assert load_json(b'{"a": [1]}') == {"a": [1]}
