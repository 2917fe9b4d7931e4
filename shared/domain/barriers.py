"""Barriers: a request that went on in the next period shuts the door it came through, and an entry
that was given up cannot be booked any more.

Without one, the same key could be reserved twice around the end of a period: by a request that was
still under way in the old one, and by its repeat in the new one.
"""

from collections.abc import Mapping
from typing import Any

from shared.domain.adjustments import Adjustment, adjustment_document_id
from shared.domain.grants import grant_document_id
from shared.domain.ledger import Document, hold_id, partition_for


def barrier_document(operation_id: str, barred_at: str) -> Document:
    """What stands in the place of a hold when its request went on under an id of the next period.

    A request that is still under way when its period ends meets it and is sent again.
    """
    return {
        "id": hold_id(operation_id),
        "pk": partition_for(operation_id).key,
        "type": "barrier",
        "operation_id": operation_id,
        "request_hash": "",
        "open_rows": 0,
        "created_at": barred_at,
    }


def grant_barrier(grant_id: str, barred_at: str) -> Document:
    """What stands in the place of a grant whose repeat goes on in the next period."""
    return {
        "id": grant_document_id(grant_id),
        "pk": partition_for(grant_id).key,
        "type": "barrier",
        "grant_id": grant_id,
        "created_at": barred_at,
    }


def void_document(adjustment: Adjustment, voided_at: str) -> Document:
    """What stands in the place of an entry that was refused and given up.

    A worker that books it late meets it: what was refused once is not charged behind its back.
    """
    return {
        "id": adjustment_document_id(adjustment.adjustment_id),
        "pk": adjustment.partition.key,
        "type": "barrier",
        "adjustment_id": adjustment.adjustment_id,
        "created_at": voided_at,
    }


def is_barrier(document: Mapping[str, Any]) -> bool:
    return bool(document["type"] == "barrier")
