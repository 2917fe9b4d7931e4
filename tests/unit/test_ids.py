import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import (
    BATCH_ROWS_MAX,
    DEPARTMENT_ID_PATTERN,
    Partition,
    image_id,
    operation_id,
    operation_of,
    partition_of,
    row_generation_id,
    row_of,
    split_image_id,
)

INSTANCE_ID_CHARS_MAX = 100  # what an orchestration instance id may have
DEPARTMENTS = st.from_regex(DEPARTMENT_ID_PATTERN, fullmatch=True)
PARTITION = Partition("marketing", "202611")
OPERATION = operation_id(PARTITION, "seed")


@given(department=DEPARTMENTS, seed=st.lists(st.text(), min_size=1, max_size=3))
def test_every_id_names_its_partition(department: str, seed: list[str]) -> None:
    partition = Partition(department, "202612")
    operation = operation_id(partition, *seed)
    row = row_generation_id(operation, BATCH_ROWS_MAX)
    picture = image_id(row, 9)
    for each in (operation, row, picture, image_id(operation, 0)):
        assert partition_of(each) == partition
        assert len(each) <= INSTANCE_ID_CHARS_MAX
        assert each.isascii() and not set(each) & set("/\\#? ")
    assert (operation_of(row), row_of(row), row_of(operation)) == (operation, BATCH_ROWS_MAX, None)
    assert split_image_id(picture) == (row, 9)


def test_operation_id_depends_on_every_part_of_the_seed() -> None:
    seeds = [("a", "b"), ("ab",), ("a", "b", ""), ("b", "a"), ("a",)]
    assert len({operation_id(PARTITION, *seed) for seed in seeds}) == len(seeds)
    assert operation_id(PARTITION, "a", "b") == operation_id(PARTITION, "a", "b")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "202611-marketing-",
        OPERATION.upper(),
        OPERATION[:-1],
        OPERATION + "0",
        OPERATION + ".1",
        OPERATION + ".000001",
        OPERATION + "_",
        OPERATION + "_10",
        OPERATION + "_0.00001",
        OPERATION + ".00001.00001",
        OPERATION.replace("marketing", "m"),
        OPERATION.replace("marketing", "Marketing"),
        OPERATION.replace("marketing", "mark|eting"),
        " " + OPERATION,
    ],
)
def test_partition_of_a_malformed_id_is_none(bad: str) -> None:
    assert partition_of(bad) is None
    assert split_image_id(bad) is None


@pytest.mark.parametrize(
    "bad",
    [
        OPERATION + "\n",
        OPERATION + ".00001\n",
        OPERATION + "_0\n",
        OPERATION.replace("202611", "٢٠٢٦١١"),  # digits, but not ASCII ones
        OPERATION + ".0000١",
        OPERATION + "_١",
    ],
)
def test_partition_of_an_id_that_is_not_plain_ascii_is_none(bad: str) -> None:
    assert partition_of(bad) is None
    assert split_image_id(bad) is None


@given(text=st.text(max_size=80))
def test_partition_of_any_text_never_fails(text: str) -> None:
    assert partition_of(text) is None
