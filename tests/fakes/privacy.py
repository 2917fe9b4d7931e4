"""Privacy policies and overrides over the in-memory container; a detector that does as told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shared.adapters.cosmos import answered
from shared.adapters.cosmos_privacy import CosmosPrivacy
from shared.domain.identifiers import Finding, Layer
from shared.domain.privacy import Detection, DetectionTerms
from shared.domain.privacy_overrides import (
    OVERRIDES_LISTED_MAX,
    PrivacyOverride,
    overrides_partition,
    read_override,
)
from tests.fakes.cosmos_container import FakeConnection


class FakePrivacy(CosmosPrivacy):
    """The real adapter; only its one query is a filter over the fake's documents."""

    def __init__(self, connection: FakeConnection) -> None:
        super().__init__(connection.as_connection())
        self._fake = connection.container("ledger")

    async def overrides(self, department_id: str, ends_after: str) -> Sequence[PrivacyOverride]:
        key = overrides_partition(department_id).key
        found = await answered(
            lambda: self._fake.scan(key, lambda d: d["type"] == "privacy_override")
        )
        lasting = [
            override
            for override in map(read_override, found)
            if override.status != "ended" and override.ends_at > ends_after
        ]
        lasting.sort(key=lambda each: each.created_at, reverse=True)
        return lasting[:OVERRIDES_LISTED_MAX]


@dataclass
class FakeDetector:
    """Answers what a function says of each text, or raises what that raises; remembers texts."""

    answer: Callable[[str], Sequence[Finding] | Detection] = lambda _: ()
    layer: Layer = "language"
    seen: list[str] = field(default_factory=list)
    patient: list[bool] = field(default_factory=list)

    async def detect(self, texts: Sequence[str], terms: DetectionTerms) -> Sequence[Detection]:
        self.seen += texts
        self.patient.append(terms.patient)
        answers = [self.answer(text) for text in texts]
        return [each if isinstance(each, Detection) else Detection(tuple(each)) for each in answers]
