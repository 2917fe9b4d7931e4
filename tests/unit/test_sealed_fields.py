"""A sealed field opens where it was sealed, as it was sealed, and nowhere else."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.field_cipher import AesFieldCipher
from shared.domain.ledger import Document
from shared.domain.sealed_fields import ERASED, Subject, binding, read_sealed
from shared.errors import EigError, InvariantBroken
from tests import builders
from tests.fakes.field_keys import Sealing
from tests.unit.test_prompt_vault import BOB, record_of, subject


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(min_size=1, max_size=80),
    here=st.tuples(*[st.integers(0, 2)] * 3),
    there=st.tuples(*[st.integers(0, 2)] * 3),
)
async def test_what_was_sealed_for_one_place_opens_at_no_other(
    text: str, here: tuple[int, int, int], there: tuple[int, int, int]
) -> None:
    cipher, key = AesFieldCipher(), b"k" * 32  # the worst case: one key for everybody

    def place(parts: tuple[int, int, int]) -> bytes:
        tenant, document, name = parts
        fields = ("request.prompt", "request.negative_prompt", "rows.1.request.prompt")
        return binding(Subject(f"t{tenant}", f"t{tenant}.u"), f"g:{document}", fields[name], 1)

    nonce, ciphertext = cipher.seal(key, text, place(here))
    if here == there:
        assert cipher.open(key, nonce, ciphertext, place(there)) == text
    else:
        with pytest.raises(InvariantBroken):
            cipher.open(key, nonce, ciphertext, place(there))


def test_binding_differs_by_key_number_and_refuses_the_separator() -> None:
    assert binding(subject(), "g:1", "request.prompt", 1) != binding(
        subject(), "g:1", "request.prompt", 2
    )
    with pytest.raises(InvariantBroken):
        binding(subject(), "g:1|request", "prompt", 1)


async def swapped(change: str) -> list[Document]:
    """A stored record with the envelope of another place in it."""
    sealing = Sealing()
    mine = await sealing.documents.sealed(record_of())
    request = dict(mine["request"])
    if change == "document":
        request["prompt"] = (await sealing.documents.sealed(record_of(seed="two")))["request"][
            "prompt"
        ]
    elif change == "person":
        request["prompt"] = (await sealing.documents.sealed(record_of(2)))["request"]["prompt"]
    elif change == "field":
        request["prompt"], request["negative_prompt"] = (
            request["negative_prompt"],
            request["prompt"],
        )
    elif change == "tenant":
        other = mine | {"tenant_id": "22222222-2222-4222-8222-222222222222"}
        await sealing.documents.sealed(other | {"request": {"prompt": "x"}})
        return await sealing.documents.opened([other])
    elif change == "owner":
        other = mine | {"user_key": BOB.key}
        await sealing.vault.sealing_key(subject(2))
        return await sealing.documents.opened([other])
    elif change == "version":
        request["prompt"] = request["prompt"] | {"v": 2}
    elif change == "algorithm":
        request["prompt"] = request["prompt"] | {"alg": "none"}
    elif change == "bit":
        body = bytearray(base64.b64decode(request["prompt"]["ct"]))
        body[0] ^= 1
        request["prompt"] = request["prompt"] | {"ct": base64.b64encode(body).decode()}
    elif change == "cut":
        request["prompt"] = request["prompt"] | {"ct": ""}
    elif change == "extra":
        request["prompt"] = request["prompt"] | {"aad": ""}
    elif change == "kid":
        request["prompt"] = request["prompt"] | {"kid": "01"}
    return await sealing.documents.opened([mine | {"request": request}])


CHANGES = ("document", "person", "field", "tenant", "owner", "version", "algorithm", "bit", "cut")


@pytest.mark.parametrize("change", [*CHANGES, "extra", "kid"])
async def test_a_moved_or_changed_envelope_never_opens(change: str) -> None:
    with pytest.raises(InvariantBroken):
        await swapped(change)


def test_an_envelope_of_another_form_is_refused() -> None:
    for value in ({}, {"v": 1}, {"v": 1, "alg": "A256GCM", "kid": 1, "nonce": "", "ct": ""}):
        with pytest.raises(InvariantBroken):
            read_sealed(value)


def test_nobody_may_ask_for_the_words_that_stand_for_an_erased_prompt() -> None:
    with pytest.raises(EigError) as refused:
        builders.request(prompt=ERASED)
    assert refused.value.status == 422
