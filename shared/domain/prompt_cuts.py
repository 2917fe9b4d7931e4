"""Prompts that a model surely cannot read to their end: what it does not read, it drops in silence.

How many tokens a text has, only the model's own tokenizer knows. What is counted here are the
pieces into which CLIP splits a text before it looks any of them up, and a piece is a token or more:
a word of letters, a digit, a run of other marks, and the beginning and the end. So a text that is
called too long is too long; one that is not may be too long all the same.
"""

import html
import re
import unicodedata
from typing import Final

from shared.domain.capabilities import ModelCapability
from shared.domain.generations import GenerationRequest
from shared.domain.models import MODELS

PROMPT_CUT: Final = "prompt_cut"
_BREAKS: Final = "\t\n\r"
_ENDS: Final = 2  # the marks of a text's beginning and end are tokens, too
# As CLIP's tokenizer does; where our classes of characters are wider, pieces only become fewer.
_PIECE: Final = re.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|['‘’](?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\w\s]|_)+",
    re.IGNORECASE,
)


def tokens_at_least(text: str) -> int:
    """A lower bound of the tokens that CLIP makes of a text."""
    # Versions of the tokenizer differ in what they clean: the fewest pieces count.
    text = html.unescape(text).replace("\ufffd", "")
    if not text.isprintable():
        text = "".join(each for each in text if each in _BREAKS or not _is_unseen(each))
    text = unicodedata.normalize("NFC", text)
    return _ENDS + sum(1 for _ in _PIECE.finditer(text))


def is_cut(request: GenerationRequest, model: ModelCapability) -> bool:
    """Whether the model surely drops the end of the prompt or of the negative prompt."""
    limit = model.prompt_tokens_read
    if limit is None:
        return False
    return any(
        tokens_at_least(text) > limit for text in (request.prompt, request.negative_prompt or "")
    )


def prompt_warnings(request: GenerationRequest) -> tuple[str, ...]:
    """What is known beforehand to come otherwise than asked of the model that a request names."""
    return (PROMPT_CUT,) if is_cut(request, MODELS[request.model]) else ()


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character).startswith("C")
