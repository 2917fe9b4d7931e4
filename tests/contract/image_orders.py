"""Orders, pictures and a job recorder for the provider tests."""

import base64
import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

from shared.domain.attempts import ImageOrder, ProviderImage
from shared.domain.models import MODELS

GENERATION_ID = "202611-marketing-0123456789abcdef0123456789abcdef"


def order(model: str, prompt: str = "A lighthouse at dawn", **changes: Any) -> ImageOrder:
    """An order as routing would make it from the model's defaults."""
    capability = MODELS[model]
    made = ImageOrder(
        generation_id=GENERATION_ID,
        attempt=1,
        model=model,
        provider_model=capability.provider_model,
        prompt=prompt,
        size=capability.default_size,
        provider_size=capability.sizes[capability.default_size],
        quality=capability.default_quality,
        count=1,
        output_format=capability.default_output_format,
        seed=None,
        negative_prompt=None,
        end_user_hash="5f" * 32,
        run_seconds_max=20,
    )
    return replace(made, **changes)


def png(width: int = 8, height: int = 8) -> bytes:
    """A small valid PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\x00" + b"\x7f" * width) * height)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", rows),
            chunk(b"IEND", b""),
        ]
    )


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def bytes_of(image: ProviderImage) -> bytes:
    return b"".join([chunk async for chunk in image.chunks])


@dataclass
class Recorder:
    """Remembers the job ids it is given; fails with `error` if there is one."""

    jobs: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def __call__(self, job_id: str) -> None:
        if self.error is not None:
            raise self.error
        self.jobs.append(job_id)
