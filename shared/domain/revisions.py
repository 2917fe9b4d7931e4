"""Documents that are changed in revisions: 1 is created, n replaces n - 1, else nothing happens."""

from shared.domain.ledger import Create, Document, Operation, Patch
from shared.domain.predicates import equal

FIXED = frozenset({"id", "pk", "type"})


def revision_operation(document: Document) -> Operation:
    """Write a document with a `revision` if its predecessor stands."""
    revision = int(document["revision"])
    if revision == 1:
        return Create(document)
    steps = tuple(
        {"op": "set", "path": f"/{name}", "value": value}
        for name, value in document.items()
        if name not in FIXED
    )
    return Patch(document["id"], steps, equal({"revision": revision - 1}))
