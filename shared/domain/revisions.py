"""Documents that are changed in revisions: 1 is created, n replaces n - 1, else nothing happens.

What a document says stands in `body`, because one patch has at most ten operations.
"""

from collections.abc import Mapping
from typing import Any

from shared.domain.ids import Partition
from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.predicates import equal


def revision_document(
    partition: Partition,
    document_id: str,
    kind: str,
    body: Mapping[str, Any],
    **flags: bool,
) -> Document:
    """A document of one revision; `flags` are what queries look for."""
    return {
        "id": document_id,
        "pk": partition.key,
        "type": kind,
        "revision": body["revision"],
        **flags,
        "body": dict(body),
    }


def revision_operation(document: Document) -> Operation:
    """Write a revision if its predecessor stands."""
    revision = int(document["revision"])
    if revision == 1:
        return Create(document)
    steps = tuple(
        {"op": "set", "path": f"/{name}", "value": value}
        for name, value in document.items()
        if name not in ("id", "pk", "type")
    )
    return Patch(document["id"], steps, equal({"revision": revision - 1}))
