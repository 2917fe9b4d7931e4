"""Batches that arrive in the body of a request instead of a file."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

from shared.domain.batch_files import BatchRow, FileFormat, parse_batch_file
from shared.domain.batch_plans import Acceptance, BatchSource
from shared.domain.budgets import Charge
from shared.domain.identity import Caller
from shared.services.admission import Admission
from shared.services.batch_admission import BatchOrder


@dataclass(frozen=True)
class BatchBodies:
    """Turns a body into the same order that an uploaded file becomes."""

    admission: Admission

    async def order(
        self,
        caller: Caller,
        content: bytes,
        file_format: FileFormat,
        *,
        charge: Charge,
        acceptance: Acceptance,
        key: str | None,
        correlation_id: str,
    ) -> BatchOrder:
        """The order of a body; the same key gives the same batch id."""

        def read_rows() -> Iterator[BatchRow]:
            return parse_batch_file(io.BytesIO(content), file_format)

        return BatchOrder(
            caller=caller,
            charge=charge,
            batch_id=await self.admission.operation_id(caller, "batch", key),
            source=BatchSource("http"),
            content_hash=_content_hash(
                file_format, content, caller.named_payers(charge), acceptance
            ),
            read_rows=read_rows,
            correlation_id=correlation_id,
            acceptance=acceptance,
        )


def _content_hash(
    file_format: FileFormat,
    content: bytes,
    payers: tuple[str | None, str | None],
    acceptance: Acceptance,
) -> str:
    """What a repeat under the same key must match: the rows, who pays, and how they are taken."""
    terms = f"{file_format}\n{payers}\n{acceptance}\n"
    return hashlib.sha256(terms.encode() + content).hexdigest()
