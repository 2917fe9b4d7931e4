"""Token buckets of one worker alone: where no shared store is, or while it does not answer."""

from collections.abc import Sequence

from shared.domain.token_buckets import BucketDocument

DOCUMENTS_MAX = 10_000  # of an outage; then it starts anew, which admits a burst


class WorkerBuckets:
    """Implements the TokenBucketStore port in memory."""

    def __init__(self) -> None:
        self._documents: dict[tuple[str, str], BucketDocument] = {}

    async def read(self, partition: str, ids: Sequence[str]) -> list[BucketDocument]:
        return [self._documents.get((partition, each), BucketDocument(each)) for each in ids]

    async def write(self, partition: str, documents: Sequence[BucketDocument]) -> bool:
        if len(self._documents) > DOCUMENTS_MAX:
            self._documents.clear()
        for document in documents:
            standing = self._documents.get((partition, document.document_id))
            if (standing.revision if standing else 0) != document.revision - 1:
                return False
        for document in documents:
            self._documents[partition, document.document_id] = document
        return True
