"""Bodies of HTTP answers: read as far as a cap, and parsed if they are JSON."""

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import aiohttp

CHUNK_BYTES: Final = 256 * 1024  # read at a time, so that a body is cut soon after its cap


async def read_capped(response: "aiohttp.ClientResponse", bytes_max: int) -> bytes | None:
    """The whole body, or None as soon as it grows over `bytes_max`."""
    if response.content_length is not None and response.content_length > bytes_max:
        return None
    parts = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        parts += chunk
        if len(parts) > bytes_max:
            return None
    return bytes(parts)


def load_json(body: bytes) -> object:
    """The parsed body; None for anything that is not JSON (a literal `null` included)."""
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed
