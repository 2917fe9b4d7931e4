import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.money import MICROS_MAX
from shared.domain.predicates import FIELDS, STATUSES, Sum, at_least, compare, has_status
from shared.errors import InvariantBroken
from tests.fakes.cosmos_predicates import UnsupportedPredicate, compile_predicate

AMOUNTS = st.integers(min_value=0, max_value=10**9)
NUMBERS = AMOUNTS | st.none() | st.text(max_size=3) | st.booleans() | st.just("missing")
FITS_FIELDS = ("limit_micros", "reserved_micros", "spent_micros")
KNOWN = FIELDS | STATUSES


def fits(amount: int) -> str:
    return compare(
        Sum(("reserved_micros", "spent_micros"), constant=amount), "<=", Sum(("limit_micros",))
    )


def test_compare_guards_every_field_and_then_compares() -> None:
    assert fits(500) == (
        "FROM c WHERE IS_NUMBER(c.limit_micros) AND IS_NUMBER(c.reserved_micros)"
        " AND IS_NUMBER(c.spent_micros)"
        " AND c.reserved_micros + c.spent_micros + 500 <= c.limit_micros"
    )


def test_at_least_guards_every_field() -> None:
    assert at_least({"open_rows": 2, "remaining_micros": 5}) == (
        "FROM c WHERE IS_NUMBER(c.open_rows) AND c.open_rows >= 2"
        " AND IS_NUMBER(c.remaining_micros) AND c.remaining_micros >= 5"
    )


@given(values=st.tuples(NUMBERS, NUMBERS, NUMBERS), amount=AMOUNTS)
def test_compare_is_true_only_for_numbers_that_fit(
    values: tuple[object, object, object], amount: int
) -> None:
    document = {n: v for n, v in zip(FITS_FIELDS, values, strict=True) if v != "missing"}
    numbers = [v for v in values if type(v) is int]
    expected = len(numbers) == 3 and numbers[1] + numbers[2] + amount <= numbers[0]
    assert compile_predicate(fits(amount))(document) is expected


@given(value=NUMBERS, minimum=AMOUNTS)
def test_at_least_is_true_only_for_numbers_that_are(value: object, minimum: int) -> None:
    document = {} if value == "missing" else {"open_rows": value}
    expected = type(value) is int and value >= minimum
    assert compile_predicate(at_least({"open_rows": minimum}))(document) is expected


def test_has_status_is_true_for_that_status_only() -> None:
    holds = compile_predicate(has_status("queued"))
    assert holds({"status": "queued"})
    assert not holds({"status": "succeeded"}) and not holds({})


@given(name=st.text(max_size=30).filter(lambda text: text not in KNOWN))
def test_no_text_from_outside_becomes_a_field(name: str) -> None:
    with pytest.raises(InvariantBroken):
        compare(Sum((name,)), "<=", Sum(("limit_micros",)))
    with pytest.raises(InvariantBroken):
        at_least({name: 1})
    with pytest.raises(InvariantBroken):
        has_status(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("constant", ["1 OR 1=1", 1.5, -1, MICROS_MAX + 1, True])
def test_no_other_value_than_an_amount_becomes_a_constant(constant: object) -> None:
    with pytest.raises(InvariantBroken):
        Sum(("limit_micros",), constant).text()  # type: ignore[arg-type]
    with pytest.raises(InvariantBroken):
        at_least({"open_rows": constant})  # type: ignore[dict-item]


@given(amount=st.integers(min_value=0, max_value=MICROS_MAX))
def test_every_predicate_stays_inside_the_grammar(amount: int) -> None:
    for text in (fits(amount), at_least({"reserved_micros": amount})):
        assert re.fullmatch(r"[A-Za-z_.()<>=+0-9 ]+", text)
        compile_predicate(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c.limit_micros >= 1",
        "FROM c WHERE c.a >= 1 OR c.b >= 1",
        "FROM c WHERE NOT c.a >= 1",
        "FROM c WHERE c.a > 1",
        "FROM c WHERE c.a >= 1;",
        "FROM c WHERE c.a >= 'x'",
        "FROM c WHERE true",
    ],
)
def test_the_fake_refuses_predicates_that_the_builder_cannot_make(text: str) -> None:
    with pytest.raises(UnsupportedPredicate):
        compile_predicate(text)
