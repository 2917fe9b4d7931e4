"""Judging texts and pictures for models whose provider filters nothing."""

from typing import Protocol

from shared.domain.content_safety import SafetyFinding


class ContentSafety(Protocol):
    """Judges content; never in part: raises Unavailable when no whole judgement came.

    Raises Invalid for what can never be judged, whoever asks and however often.
    """

    async def judge_text(self, text: str) -> SafetyFinding:
        """The finding of a text of any length."""
        ...

    async def judge_picture(self, picture: bytes) -> SafetyFinding:
        """The finding of one picture in its original bytes."""
        ...
