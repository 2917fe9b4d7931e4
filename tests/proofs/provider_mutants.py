"""The seeded bugs of what providers answer: jobs that are resumed, and ends that are billed."""

from tests.proofs.mutants import mutant

_ATTEMPTS = "shared.services.attempts:Attempts"

ANSWERING = (
    mutant(
        "a resume submits again",
        (
            f"{_ATTEMPTS}._asked",
            ".resume(order, marker.job_id)",
            ".generate(order, _Recorder(self.ledger, marker))",
        ),
    ),
    mutant(
        "a job that is gone is taken for one that cost nothing",
        (
            f"{_ATTEMPTS}._asked",
            "return await self.providers[provider].resume(order, marker.job_id)",
            "from shared.domain.attempts import NotDelivered\n"
            "    found = await self.providers[provider].resume(order, marker.job_id)\n"
            '    gone = isinstance(found, Unknown) and found.reason.endswith("404")\n'
            '    return NotDelivered(Failure.CUSTODY, Billed.NOTHING, "gone") if gone else found',
        ),
    ),
    mutant(
        "a timeout that is billed is booked at nothing",
        (
            f"{_ATTEMPTS}._conclude",
            "price = self._price(item, marker, outcome.billed, outcome.usage)",
            "timed_out = outcome.failure is Failure.TIMEOUT\n"
            "        billed = Billed.NOTHING if timed_out else outcome.billed\n"
            "        price = self._price(item, marker, billed, outcome.usage)",
        ),
    ),
    mutant(
        "fewer pictures than ordered are booked as all of them",
        (
            f"{_ATTEMPTS}._keep",
            "delivered(marker, outcome, *self._price(item, marker, billed, outcome.usage))",
            "delivered(marker, outcome, *self._price(\n"
            "        item, marker, billed,\n"
            "        replace(outcome.usage, images=item.request.count) if outcome.usage else None\n"
            "    ))",
        ),
    ),
)
