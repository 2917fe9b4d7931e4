"""The seeded bugs of fallbacks: attempts at another model inside the same hold."""

from tests.proofs.mutants import mutant

_ADAPTER = "shared.adapters.cosmos_ledger"
_ATTEMPTS = "shared.services.attempts:Attempts"
_FALLBACKS = "shared.domain.fallbacks"

FALLING = (
    mutant(
        "an unknown outcome falls through to the next candidate",
        (
            f"{_ATTEMPTS}._conclude",
            "return unknown(marker, outcome.reason, outcome.job_id)",
            "from shared.domain.attempts import NotDelivered\n"
            "        outcome = NotDelivered(Failure.TRANSIENT, Billed.NOTHING, outcome.reason)",
        ),
    ),
    mutant(
        "the marker of a fallback is written before its raise",
        (
            f"{_ADAPTER}:CosmosLedger._begin_raised",
            "await commit(await self._container(), partition.key, operations)",
            "await create_once(await self._container(), marker_document(marker))\n"
            "        await commit(await self._container(), partition.key, operations[1:])",
        ),
    ),
    mutant(
        "a fallback raises the budgets and forgets the hold",
        (
            "shared.domain.attempt_markers:raise_operations",
            'more = increments({"amount_micros": amount, "remaining_micros": amount})',
            'more = increments({"amount_micros": 0})',
        ),
    ),
    mutant(
        "a fallback raises the hold and no budget",
        (
            "shared.domain.attempt_markers:raise_operations",
            "*reserving(amount, scopes),",
            "",
        ),
    ),
    mutant(
        "a fallback raises the hold and no event tells of it",
        (
            "shared.domain.attempt_markers:raise_operations",
            "Create(outbox_document(partition, _raised_event(marker))),",
            "",
        ),
    ),
    mutant(
        "a fallback does not raise the hold at all",
        (
            f"{_FALLBACKS}:raise_micros",
            "return max(0, needed - held_micros(item, course))",
            "return 0",
        ),
    ),
    mutant(
        "the raise forgets what earlier attempts were billed",
        (
            f"{_FALLBACKS}:raise_micros",
            "needed = billed_micros(course.lines) +",
            "needed =",
        ),
    ),
    mutant(
        "only the line of the last attempt is booked",
        (
            f"{_FALLBACKS}:lines_of",
            "(*report.lines, line_of(item, report))",
            "(line_of(item, report),)",
        ),
    ),
    mutant(
        "the next marker does not know the lines before it",
        (
            f"{_ATTEMPTS}._marker",
            'tuple(line.model_dump(mode="json") for line in course.lines)',
            "()",
        ),
    ),
    mutant(
        "a stop forgets what earlier attempts were billed",
        (
            "shared.domain.attempt_reports:canceled",
            "lines=course.lines,",
            "",
        ),
    ),
    mutant(
        "a fallback is billed at the price of the first choice",
        (
            f"{_ATTEMPTS}._price",
            "item.request_of(marker.candidate)",
            "item.request",
        ),
    ),
    mutant(
        "an expired fallback is booked at the maximum of the first choice",
        (
            "shared.domain.settlements:expired_report",
            "item.quote_of(unknown.candidate)",
            "item.quote",
        ),
    ),
    mutant(
        "a refusal for content is tried elsewhere, whatever the policy says",
        (
            f"{_FALLBACKS}:_following",
            "if failure is Failure.CONTENT_REJECTED and not route.content_fallback:",
            "if failure is None:",
        ),
    ),
    mutant(
        "a provider that has shut out the whole account is asked for another model",
        (
            f"{_FALLBACKS}:_following",
            "provider if failure in _ACCOUNT_WIDE else None",
            "None",
        ),
    ),
    mutant(
        "what could not be paid is forgotten instead of decided",
        (
            f"{_ATTEMPTS}._not_affordable",
            "standing = await self.ledger.begin_attempt(marker)",
            "standing = marker",
        ),
    ),
    mutant(
        "a fallback is settled as if only the first price was held",
        (
            "shared.domain.settlements:resolution_for",
            "held = held_micros(item, Course(held_micros=report.held_micros))",
            "held = item.quote.amount_micros",
        ),
    ),
)
# Seen only where two executions of one orchestration meet: see test_fallbacks.py.
NOT_MADE_SURE_OF = mutant(
    "an end after a record that may stand is not made sure of",
    (
        f"{_ATTEMPTS}._ended_here",
        "standing = await self.ledger.begin_attempt(marker)",
        "standing = marker",
    ),
)
