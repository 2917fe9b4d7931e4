"""Links to pictures: nobody is sent to what is not there any more."""

import pytest

from shared.errors import NotFound
from tests.unit.storage_world import AVA, IMAGE, World


async def test_link_to_a_picture_whose_bytes_are_deleted_is_not_found() -> None:
    images = World().images()  # it is on record, and the store has nothing
    assert (await images.get(AVA, IMAGE)).id == IMAGE
    with pytest.raises(NotFound):
        await images.link(AVA, IMAGE)
