"""Blobs that are written once, and tags that several writers change: what comes late must not undo
what was decided meanwhile."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from shared.adapters.blob import answered, code_of
from shared.errors import Conflict

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient

T = TypeVar("T")
TAG_TRIES_MAX = 5  # of one change, when another one gets in between
CONDITION_NOT_MET = "ConditionNotMet"


async def if_there(send: Callable[[], Awaitable[T]]) -> T | None:
    """What a call on one blob answers; None if there is no such blob."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return await answered(send)
    except ResourceNotFoundError:
        return None


async def create(upload: Callable[..., Awaitable[Any]]) -> bool:
    """Upload a blob that does not exist yet; False if it does, with the tags that it has."""
    from azure.core.exceptions import ResourceExistsError

    try:
        await answered(lambda: upload(overwrite=False))
    except ResourceExistsError:
        return False
    return True


async def retag(
    blob: "BlobClient", change: Callable[[Mapping[str, str]], Mapping[str, str]]
) -> None:
    """Change the tags of a blob, if it is there, beside others who change them as well."""
    from azure.core.exceptions import HttpResponseError

    for _ in range(TAG_TRIES_MAX):
        standing = await if_there(blob.get_blob_tags)
        if standing is None or (wanted := dict(change(standing))) == standing:
            return
        condition = as_read(standing)
        try:
            await answered(lambda c=condition, w=wanted: blob.set_blob_tags(w, **c))  # type: ignore[misc]
        except HttpResponseError as error:
            if code_of(error) != CONDITION_NOT_MET and error.status_code != 404:
                raise
        else:
            return
    raise Conflict("The tags of this picture are being changed by others; try again.")


async def follow(blob: "BlobClient", original: "BlobClient") -> None:
    """Give a blob the tags of the original beside which it was written, as they are by now."""
    for _ in range(TAG_TRIES_MAX):
        tags = await if_there(original.get_blob_tags)
        if tags is None or await if_there(blob.get_blob_tags) in (tags, None):
            return
        await retag(blob, lambda _, tags=tags: tags)  # type: ignore[misc]
    raise Conflict("The tags of this picture are being changed by others; try again.")


def as_read(tags: Mapping[str, str]) -> dict[str, str]:
    """The condition that the tags of a blob still are what they were when they were read."""
    condition = " AND ".join(f"\"{name}\"='{value}'" for name, value in tags.items())
    return {"if_tags_match_condition": condition} if condition else {}
