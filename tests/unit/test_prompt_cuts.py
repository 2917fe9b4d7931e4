"""What a model surely does not read of a prompt: a bound that is never above the truth."""

import html
import unicodedata

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.models import MODELS
from shared.domain.prompt_cuts import is_cut, prompt_warnings, tokens_at_least
from tests.builders import request

# The pieces of CLIP's tokenizer, each of which becomes one token or more.
CLIP = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)
ANY = st.text(
    st.characters(exclude_characters="\u0345")
)  # its capital is a letter: neither to CLIP
AWKWARD = st.text(alphabet="aZ'’sStTlLdD _-.!?<|>09½²Ⅷé́ \n\t\u200b\u200d❤️猫िह&;#xgtl39\ufffd")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 2),
        ("a red barn", 5),
        ("A RED, RED barn!", 8),
        ("don't", 4),
        ("it’s", 4),
        ("snake_case", 5),
        ("f/1.4", 7),
        ("2026", 6),
        ("wait...", 4),
        ("re\u0301sume\u0301", 3),
        ("in\u200bvisible\nline", 4),
        ("fish &amp; chips", 5),
        ("<|endoftext|>", 3),
    ],
)
def test_pieces_of_a_text_are_counted_with_its_two_ends(text: str, tokens: int) -> None:
    assert tokens_at_least(text) == tokens


@given(ANY | AWKWARD)
@example("'ſ ½½ İ ⅷ")
def test_count_is_never_above_that_of_the_tokenizer_however_it_cleans(text: str) -> None:
    seen = "".join(
        each
        for each in text
        if each in "\t\n\r" or (unicodedata.category(each)[0] != "C" and each != "\ufffd")
    )
    for cleaned in (text, seen, html.unescape(text), text.replace("’", "'").replace("‘", "'")):
        pieces = CLIP.findall(unicodedata.normalize("NFC", cleaned).lower())
        assert tokens_at_least(text) <= 2 + len(pieces), cleaned


@pytest.mark.parametrize("model", ["sdxl", "sdxl-sovereign"])
@pytest.mark.parametrize(
    ("fields", "warnings"),
    [
        ({"prompt": "word " * 75}, ()),
        ({"prompt": "word " * 76}, ("prompt_cut",)),
        ({"prompt": "a pier", "negative_prompt": "fog, " * 40}, ("prompt_cut",)),
    ],
)
def test_clip_reads_75_words_of_either_prompt(
    model: str, fields: dict[str, str], warnings: tuple[str, ...]
) -> None:
    assert prompt_warnings(request(model, **fields)) == warnings


def test_only_models_with_a_known_limit_cut() -> None:
    longest = request("sdxl", prompt="word " * 800)
    assert {name for name, model in MODELS.items() if is_cut(longest, model)} == {
        "sdxl",
        "sdxl-sovereign",
    }
