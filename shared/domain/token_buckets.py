"""Token buckets in whole microseconds: how much may be taken now, and how long to wait for more.

A bucket is one number (the generic cell rate algorithm): the moment at which everything that was
taken will have been earned again. Nothing refills it; time does. All arithmetic is on integers, and
each rounding is against the one who takes, so that no drift ever admits too much.

Over any time t (its end excluded) a bucket admits at most `burst` - 1 + t * `tokens` / `period_s`,
rounded up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

US_PER_S: Final = 1_000_000
# A bucket that is emptier than it can be was written by a clock that runs ahead by more than this.
CLOCK_SKEW_US_MAX: Final = 60 * US_PER_S
STEADY_SHARE: Final = 20  # a twentieth at once: 95 % of a strict limit can be had all the time
WHOLE_US_MIN: Final = 1_000  # a token that takes so long is rounded up by a thousandth at most
SCHEMA_VERSION: Final = 1


@dataclass(frozen=True)
class Limit:
    """So many tokens are earned in a period, and so many can be saved up to be taken at once."""

    name: str
    tokens: int
    period_s: int
    burst: int

    @classmethod
    def strict(cls, name: str, tokens: int, period_s: int, share: int = STEADY_SHARE) -> "Limit":
        """Never more than `tokens` in any stretch of a period: a share at once, the rest earned."""
        saved = tokens // share
        return cls(name, tokens - saved, period_s, 1 + saved)

    def span_us(self, tokens: int) -> int:
        """The time in which so many tokens are earned; that of n tokens is n times that of one."""
        period_us = self.period_s * US_PER_S
        if self.tokens * WHOLE_US_MIN > period_us:
            return -(-tokens * period_us // self.tokens)  # money: a token takes no microsecond
        return -(-period_us // self.tokens) * tokens

    @property
    def depth_us(self) -> int:
        return self.span_us(self.burst)


@dataclass(frozen=True)
class Want:
    """So many tokens of one bucket, which lies in a document."""

    document_id: str
    limit: Limit
    tokens: int


@dataclass(frozen=True)
class Lane:
    """For whom tokens are taken where people stand in line: the lower `rank` goes first."""

    rank: int
    department_id: str


@dataclass(frozen=True)
class Claim:
    """What the line remembers of a lane; all times in microseconds since 1970."""

    lane: Lane
    lacks: tuple[str, ...]  # buckets that had too little; empty: nobody of this lane waits
    since_us: int  # of the wait
    back_us: int  # when the last of those who wait was told to come back
    until_us: int  # then it is forgotten
    served_us: int = 0  # when this lane was last given something


@dataclass(frozen=True)
class BucketDocument:
    """Buckets that are taken from together, by name, with the line in front of them."""

    document_id: str
    revision: int = 0  # 0: not stored yet
    earned_us: Mapping[str, int] = field(default_factory=dict)
    line: tuple[Claim, ...] = ()
    change_id: str = ""  # of the write that made this revision: tells a repeat from a rival


@dataclass(frozen=True)
class Receipt:
    """What was taken, so that it can be given back."""

    document_id: str
    name: str
    start_us: int
    span_us: int


@dataclass(frozen=True)
class Standing:
    """How a bucket stands after it was asked."""

    limit: Limit
    left: int
    full_in_us: int


def wait_us(limit: Limit, earned_us: int, tokens: int, now_us: int) -> int | None:
    """How long until so many tokens can be taken; 0 if now, None if it never holds so many."""
    if tokens > limit.burst:
        return None
    start = _start_us(limit, earned_us, now_us)
    return max(0, start + limit.span_us(tokens) - limit.depth_us - now_us)


def taken_us(limit: Limit, earned_us: int, tokens: int, now_us: int) -> tuple[int, Receipt]:
    """The bucket after a take that `wait_us` allowed, and the receipt without its document."""
    start, span = _start_us(limit, earned_us, now_us), limit.span_us(tokens)
    return start + span, Receipt("", limit.name, start, span)


def given_back_us(receipt: Receipt, now_us: int) -> int:
    """How much of a take is still to be earned: only that much can be given back.

    The rest has been earned again meanwhile. To give it back too would let the same tokens be
    taken twice.
    """
    return min(max(0, receipt.start_us + receipt.span_us - now_us), receipt.span_us)


def standing(limit: Limit, earned_us: int, now_us: int) -> Standing:
    """What can be taken at once, and when the bucket will be full."""
    start = _start_us(limit, earned_us, now_us)
    free_us = now_us + limit.depth_us - start
    left = free_us * limit.tokens // (limit.period_s * US_PER_S)
    return Standing(limit, min(max(0, left), limit.burst), start - now_us)


def _start_us(limit: Limit, earned_us: int, now_us: int) -> int:
    if earned_us > now_us + limit.depth_us + CLOCK_SKEW_US_MAX:
        return now_us + limit.depth_us - limit.span_us(1)  # the next take sets it right
    return max(now_us, earned_us)


@dataclass
class Tally:
    """Documents of one partition, while a group of asks is decided on them."""

    documents: dict[str, BucketDocument]
    now_us: int
    changed: set[str] = field(default_factory=set)

    def wait_us(self, wants: Sequence[Want]) -> tuple[int | None, tuple[Want, ...]]:
        """The longest wait of all (None: for ever), and the wants that cannot be met now."""
        waits = [(each, self._wait_us(each)) for each in wants]
        short = tuple(each for each, wait in waits if wait != 0)
        found = [wait for _, wait in waits if wait is not None]
        return (max(found, default=0) if len(found) == len(waits) else None), short

    def take(self, wants: Sequence[Want]) -> tuple[Receipt, ...]:
        """Take everything; only after `wait_us` said 0."""
        return tuple(self._take(each) for each in wants)

    def give_back(self, receipts: Iterable[Receipt]) -> None:
        """Put back what has not been earned again yet."""
        for receipt in receipts:
            document = self.documents[receipt.document_id]
            back = given_back_us(receipt, self.now_us)
            if back and receipt.name in document.earned_us:
                self._set(document, receipt.name, document.earned_us[receipt.name] - back)

    def standings(self, wants: Sequence[Want]) -> tuple[Standing, ...]:
        return tuple(standing(w.limit, self._earned_us(w), self.now_us) for w in wants)

    def put_line(self, document_id: str, line: tuple[Claim, ...]) -> None:
        """Change who stands in front of a document's buckets."""
        if self.documents[document_id].line != line:
            self.documents[document_id] = replace(self.documents[document_id], line=line)
            self.changed.add(document_id)

    def changes(self, change_id: str) -> list[BucketDocument]:
        """The next revision of every document that changed."""
        return [
            replace(document, revision=document.revision + 1, change_id=change_id)
            for document_id, document in sorted(self.documents.items())
            if document_id in self.changed
        ]

    def _wait_us(self, want: Want) -> int | None:
        return wait_us(want.limit, self._earned_us(want), want.tokens, self.now_us)

    def _take(self, want: Want) -> Receipt:
        document = self.documents[want.document_id]
        earned, receipt = taken_us(want.limit, self._earned_us(want), want.tokens, self.now_us)
        self._set(document, want.limit.name, earned)
        return replace(receipt, document_id=want.document_id)

    def _earned_us(self, want: Want) -> int:
        return self.documents[want.document_id].earned_us.get(want.limit.name, 0)

    def _set(self, document: BucketDocument, name: str, earned_us: int) -> None:
        changed = {**document.earned_us, name: earned_us}
        self.documents[document.document_id] = replace(document, earned_us=changed)
        self.changed.add(document.document_id)


def stored_document(partition_key: str, document: BucketDocument) -> dict[str, Any]:
    """A bucket document as it is stored."""
    return {
        "id": document.document_id,
        "pk": partition_key,
        "type": "token_buckets",
        "schema_version": SCHEMA_VERSION,
        **stored_fields(document),
    }


def stored_fields(document: BucketDocument) -> dict[str, Any]:
    """The fields that a write changes."""
    return {
        "revision": document.revision,
        "change_id": document.change_id,
        "earned_us": dict(document.earned_us),
        "line": [
            {
                "rank": claim.lane.rank,
                "department_id": claim.lane.department_id,
                "lacks": list(claim.lacks),
                "since_us": claim.since_us,
                "back_us": claim.back_us,
                "until_us": claim.until_us,
                "served_us": claim.served_us,
            }
            for claim in document.line
        ],
    }


def read_document(stored: Mapping[str, Any]) -> BucketDocument:
    """A bucket document as it was stored."""
    return BucketDocument(
        document_id=stored["id"],
        revision=stored["revision"],
        change_id=stored["change_id"],
        earned_us=dict(stored["earned_us"]),
        line=tuple(
            Claim(
                lane=Lane(each["rank"], each["department_id"]),
                lacks=tuple(each["lacks"]),
                since_us=each["since_us"],
                back_us=each["back_us"],
                until_us=each["until_us"],
                served_us=each["served_us"],
            )
            for each in stored["line"]
        ),
    )
