"""The line in front of token buckets: who goes first when there is too little for everybody.

A lane is one department at one rank. Whoever is refused leaves a claim, and later asks of other
lanes must leave enough for the claims that go before theirs. A lower rank goes first; at the same
rank, the department that was served longest ago. So what a department asks for a thousand times
waits beside the one request of another, not before it. Waiting lowers the rank, one step a minute:
nobody waits for ever. A claim that nobody comes back for is forgotten, so nothing stays reserved.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from shared.domain.token_buckets import US_PER_S, Claim, Lane, Receipt, Tally, Want

AGING_US: Final = 60 * US_PER_S  # a wait of so long counts as one rank
GRACE_US: Final = 10 * US_PER_S  # durable timers fire late; then the claim's place is free
REMEMBERED_US: Final = 60 * US_PER_S  # who was served last, after nobody of a lane waits any more
CLOCK_SLACK_US: Final = US_PER_S // 4  # between the clocks of two workers
BACK_US_MAX: Final = 30 * US_PER_S  # whoever waits asks again after so long at the latest
BATCH_BACK_US_MAX: Final = 300 * US_PER_S  # and a row of a batch, which asks once more in vain
LINE_MAX: Final = 64  # lanes in one document, about 8 KB; further ones are served without a claim
RESERVED_SHARE: Final = 4  # a quarter of what can be saved up is left to rank 0


class Priority(IntEnum):
    """Ranks of work: somebody looks on; somebody waits for a file; nobody is in a hurry."""

    INTERACTIVE = 0
    BATCH = 1
    WAITING = 2


@dataclass(frozen=True)
class Decision:
    """What one ask got: receipts, or the wait (None: for ever) and the bucket that fell short."""

    receipts: tuple[Receipt, ...] | None
    wait_us: int | None = 0
    short: str = ""


def decide(tally: Tally, wants: Sequence[Want], lane: Lane | None) -> Decision:
    """Take all of the wants or none; with a lane, in its turn."""
    if lane is None:
        wait, short = tally.wait_us(wants)
        if short:
            return Decision(None, wait, short[0].limit.name)
        return Decision(tally.take(wants))
    return _in_turn(tally, wants, lane)


def _in_turn(tally: Tally, wants: Sequence[Want], lane: Lane) -> Decision:
    document_id, now_us = wants[0].document_id, tally.now_us
    line = [claim for claim in tally.documents[document_id].line if claim.until_us > now_us]
    own = next((claim for claim in line if claim.lane == lane), None)
    own = own or Claim(lane, (), now_us, now_us, now_us)
    others = [claim for claim in line if claim.lane != lane]
    ahead = len(_ahead(others, own, wants, now_us))
    needed = [_with_reserve(want, own, ahead, now_us) for want in wants]
    wait, short = _wait_us(tally, wants, needed)
    if wait is None:
        return Decision(None, None, short[0].limit.name)
    if not short:
        receipts = tally.take(wants)
        tally.put_line(document_id, _bounded([*others, _served(own, now_us)]))
        return Decision(receipts)
    claim, wait = _waiting(own, short, wait, now_us)
    tally.put_line(document_id, _bounded([*others, claim]))
    return Decision(None, wait, short[0].limit.name)


def _wait_us(
    tally: Tally, wants: Sequence[Want], needed: Sequence[Want]
) -> tuple[int | None, list[Want]]:
    """How long until all is there that is needed, and the wants that it is not there for yet."""
    waits, short = [], []
    for want, need in zip(wants, needed, strict=True):
        if want.tokens > want.limit.burst:
            return None, [want]
        held = min(need.tokens, need.limit.burst)  # the rest is earned after that
        wait, _ = tally.wait_us([replace(need, tokens=held)])
        waits.append((wait or 0) + need.limit.span_us(need.tokens - held))
        if waits[-1]:
            short.append(want)
    return max(waits, default=0), short


def _ahead(others: Sequence[Claim], own: Claim, wants: Sequence[Want], now_us: int) -> list[Claim]:
    """The claims on the same buckets that go before this ask."""
    names = {want.limit.name for want in wants}
    place = _place(own, now_us)
    return [
        claim
        for claim in others
        if names.intersection(claim.lacks) and _place(claim, now_us) < place
    ]


def _place(claim: Claim, now_us: int) -> tuple[int, int, int]:
    """Smaller goes first."""
    waited_us = now_us - claim.since_us if claim.lacks else 0
    return (max(0, claim.lane.rank - waited_us // AGING_US), claim.served_us, claim.since_us)


def _with_reserve(want: Want, own: Claim, ahead: int, now_us: int) -> Want:
    """The want as it is checked: with a token for each claim ahead, and what is left to rank 0."""
    reserve = want.limit.burst // RESERVED_SHARE if _place(own, now_us)[0] else 0
    return replace(want, tokens=want.tokens + ahead + reserve)


def _served(own: Claim, now_us: int) -> Claim:
    """The claim of a lane after it was given something: it waits on if more were told to come."""
    if own.lacks and own.back_us > now_us + CLOCK_SLACK_US:
        return replace(own, since_us=now_us, served_us=now_us)
    return Claim(own.lane, (), now_us, now_us, now_us + REMEMBERED_US, now_us)


def _waiting(own: Claim, short: Sequence[Want], wait_us: int, now_us: int) -> tuple[Claim, int]:
    """The claim of a lane of which one more waits, and how long that one: a step after the last."""
    back_us = now_us + wait_us
    step_us = max(want.limit.span_us(want.tokens) for want in short)
    is_early = wait_us <= step_us // 2  # those before were late: it keeps its turn
    if own.lacks and own.back_us > now_us and not is_early:
        longest_us = BATCH_BACK_US_MAX if own.lane.rank else BACK_US_MAX
        back_us = max(back_us, min(own.back_us + step_us, now_us + longest_us))
    last_us = max(back_us, own.back_us)
    claim = Claim(
        lane=own.lane,
        lacks=tuple(want.limit.name for want in short),
        since_us=own.since_us if own.lacks else now_us,
        back_us=last_us,
        until_us=last_us + GRACE_US,
        served_us=own.served_us,
    )
    return claim, back_us - now_us


def _bounded(line: list[Claim]) -> tuple[Claim, ...]:
    """Those that wait come before those that are only remembered."""
    line.sort(key=lambda claim: (not claim.lacks, -claim.until_us))
    return tuple(line[:LINE_MAX])
