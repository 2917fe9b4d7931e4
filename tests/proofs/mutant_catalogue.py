"""The seeded bugs on which the checker is on trial: each must be caught."""

from tests.proofs.fallback_mutants import FALLING
from tests.proofs.mutants import mutant
from tests.proofs.provider_mutants import ANSWERING

_LEDGER = "shared.domain.ledger"
_ADAPTER = "shared.adapters.cosmos_ledger"
_POLICIES = "shared.adapters.cosmos_budget_policies"
_ATTEMPTS = "shared.services.attempts:Attempts"
_FALLBACKS = "shared.domain.fallbacks"
_ADAPTER_FAILED = (f"{_ATTEMPTS}._generated", 'return Unknown("adapter_failed")')


RESERVING = (
    mutant(
        "the predicate asks whether the limit is reached, without the amount",
        (f"{_LEDGER}:reserving", ", constant=amount)", ")"),
    ),
    mutant(
        "the predicate is left out for one scope",
        (
            f"{_LEDGER}:reserving",
            '(_incr("reserved_micros", amount),), fits)',
            '(_incr("reserved_micros", amount),), fits if scope.kind == "department" else None)',
        ),
    ),
    mutant(
        "the predicate looks at the highest ceiling there ever was",
        (
            f"{_LEDGER}:reserving",
            'Sum(("ceiling_micros",))',
            'Sum(("high_micros",))',
        ),
    ),
    mutant(
        "read, check, write: the decision is made from a read",
        (
            f"{_LEDGER}:reserving",
            '(_incr("reserved_micros", amount),), fits)',
            '(_incr("reserved_micros", amount),))',
        ),
        (
            f"{_ADAPTER}:CosmosLedger.reserve",
            "    try:\n        answers = await commit",
            "    for scope in hold.scopes:\n"
            "        standing = await self.budget(partition, scope)\n"
            "        if standing and standing.available_micros < hold.amount_micros:\n"
            "            raise await self._budget_exceeded(partition, scope, hold.amount_micros)\n"
            "    try:\n        answers = await commit",
        ),
    ),
    mutant(
        "the hold is written before its money is set aside",
        (
            f"{_ADAPTER}:CosmosLedger.reserve",
            "answers = await commit(await self._container(), partition.key, operations)",
            "container, money = await self._container(), 1 + len(hold.scopes)\n"
            "        await commit(container, partition.key, [operations[0], *operations[money:]])\n"
            "        operations = operations[1:money]\n"
            "        answers = await commit(container, partition.key, operations)",
        ),
        (f"{_ADAPTER}:CosmosLedger.reserve", "refusal.index - 1", "refusal.index"),
    ),
    mutant(
        "a repeated request is not compared with the first one",
        (
            f"{_ADAPTER}:CosmosLedger._same_request",
            'standing["request_hash"] != hold.request_hash',
            'standing["request_hash"] is None',
        ),
    ),
    mutant(
        "every sending of a request gets an id of its own",
        (
            "shared.services.admission:Admission.operation_id",
            "key or self.clock.new_id()",
            "self.clock.new_id()",
        ),
    ),
    mutant(
        "a key from before the end of the month is not looked for",
        (
            "shared.services.admission:Admission.operation_id",
            "for partition in earlier if key else ():",
            "for partition in earlier if not key else ():",
        ),
    ),
    mutant(
        "opening a period writes its budgets anew",
        (
            f"{_POLICIES}:CosmosBudgetPolicies.open",
            "        await commit(",
            "        await (await self._container()).upsert_item(operations[0].document)\n"
            "        await commit(",
        ),
    ),
    mutant(
        "the audit event is left out of the transaction",
        (
            f"{_LEDGER}:reserve_operations",
            "Create(outbox_document(partition, reservation.event)),",
            "",
        ),
    ),
)
CALLING = (
    mutant(
        "the provider is called before the marker is written",
        (
            f"{_ATTEMPTS}.run",
            "        try:\n            standing = await",
            "        outcome = await self._generated(\n"
            "            asked.provider, order, _Recorder(self.ledger, marker)\n"
            "        )\n"
            "        try:\n            standing = await",
        ),
        (
            f"{_ATTEMPTS}.run",
            "outcome = await self._generated(asked.provider, order, recorder)\n",
            "pass\n",
        ),
    ),
    mutant(
        "what an adapter raises is passed on, and the activity is asked again and again",
        (*_ADAPTER_FAILED, "raise"),
    ),
    mutant(
        "a call whose adapter raised is made again at once",
        (*_ADAPTER_FAILED, "return await self.providers[provider].generate(order, recorder)"),
    ),
    mutant(
        "leave to call is given to whoever asks",
        (
            f"{_ADAPTER}:CosmosLedger.begin_attempt",
            "if await create_once(await self._container(), marker_document(marker)):",
            "if await create_once(await self._container(), marker_document(marker)) or True:",
        ),
    ),
    mutant(
        "a paid call is tried again after a time-out",
        (
            f"{_ATTEMPTS}._conclude",
            "return unknown(marker, outcome.reason, outcome.job_id)",
            "return unknown(marker, outcome.reason).model_copy(\n"
            '            update={"ending": "retry", "retry_after_s": 1.0}\n        )',
        ),
    ),
    mutant(
        "a failure that was billed is tried again as if it had cost nothing",
        (
            f"{_FALLBACKS}:continued",
            "if report.failure in RETRYABLE and report.usd_micros == 0:",
            "if report.failure in RETRYABLE:",
        ),
        (
            f"{_FALLBACKS}:continued",
            "lines = lines_of(item, report)",
            "lines = report.lines",
        ),
    ),
    mutant(
        "the sweep does not look at a worker's marker",
        (
            f"{_ATTEMPTS}.stop",
            "found = await self.evidence(item, standing, course)",
            "found = canceled(item.generation_id, attempt, course)",
        ),
    ),
    mutant(
        "a cancel does not look at a worker's marker",
        (
            f"{_ATTEMPTS}.cancel",
            'if standing.holder == marker.holder or standing.owner != "worker":',
            "if standing.holder:",
        ),
    ),
)
SETTLING = (
    mutant(
        "an unknown outcome is refunded",
        (
            "shared.services.settlements:Settlements.settle",
            'if report.ending == "unknown":',
            'if report.ending == "unknown":\n'
            "            report = report.model_copy(\n"
            '                update={"ending": "canceled", "reason": "refunded"}\n'
            "            )\n"
            '        if report.ending == "unknown":',
        ),
    ),
    mutant(
        "past the horizon an unknown outcome is released",
        (
            "shared.domain.settlements:expired_report",
            "usd_micros=item.quote_of(unknown.candidate).usd_micros",
            "usd_micros=0",
        ),
    ),
    mutant(
        "evidence that cannot be read keeps the money reserved",
        (
            f"{_ATTEMPTS}.evidence",
            "outcome = Unknown(JOB_UNREADABLE)",
            "raise",
        ),
    ),
    mutant(
        "past the horizon the maximum is booked without a case",
        (
            "shared.domain.settlements:_cases",
            "if is_unknown or any(",
            "if any(",
        ),
    ),
    mutant(
        "the quote is booked, not what it cost",
        (
            f"{_FALLBACKS}:line_of",
            "amount_micros=min(quote.settled_micros(report.usd_micros), quote.amount_micros)",
            "amount_micros=quote.amount_micros",
        ),
    ),
    mutant(
        "the exchange is rounded down",
        (
            "shared.domain.money:aud_micros",
            "-(-product // MICROS_PER_UNIT)",
            "product // MICROS_PER_UNIT",
        ),
    ),
    mutant(
        "a resolution is written over the one that stands",
        (
            "shared.adapters.cosmos:_sdk_operation",
            'return ("create", (stamped(operation.document),), {})',
            'verb = "upsert" if operation.document["type"] == "resolution" else "create"\n'
            "        return (verb, (stamped(operation.document),), {})",
        ),
    ),
    mutant(
        "a resolution that stands is left out, its amounts are not",
        (
            f"{_ADAPTER}:CosmosLedger.resolve",
            "rows = await self._without_resolved(partition, rows)",
            "del operations[refusal.index]\n"
            "                await commit(await self._container(), partition.key, operations)\n"
            "                return",
        ),
    ),
    mutant(
        "a release leaves out the last scope",
        (f"{_LEDGER}:resolve_operations", "for scope in scopes\n", "for scope in scopes[:-1]\n"),
    ),
    mutant(
        "what remains of a hold is not counted down",
        (
            f"{_LEDGER}:resolve_operations",
            '(_incr("remaining_micros", -held), _incr("open_rows", -len(resolutions))),',
            '(_incr("open_rows", -len(resolutions)),),',
        ),
    ),
    mutant(
        "a late unknown report is written over an end",
        (
            f"{_LEDGER}:unknown_operations",
            'has_status("queued")',
            "None",
        ),
    ),
    mutant(
        "a picture that was paid but not kept is not booked",
        (
            f"{_ATTEMPTS}._keep",
            'update={"ending": "ended", "failure": Failure.CUSTODY,',
            'update={"usd_micros": 0, "ending": "ended", "failure": Failure.CUSTODY,',
        ),
    ),
    mutant(
        "the sweep forgets the period before",
        (
            "shared.services.calendars:Calendars.open_partitions",
            "self._partitions(2)",
            "self._partitions(1)",
        ),
    ),
    mutant(
        "events are dropped from the outbox before they are copied",
        (
            "shared.services.audit_relay:AuditRelay._copy",
            'await self.audit.append(partition, [item["event"] for item in waiting])\n'
            "        await self.records.drop_outbox(partition, waiting)\n",
            "await self.records.drop_outbox(partition, waiting)\n"
            '        await self.audit.append(partition, [item["event"] for item in waiting])\n',
        ),
    ),
)
_BUDGET_POLICIES = "shared.domain.budget_policies"
CHANGING = (
    mutant(
        "a correction is booked again under an id of its own",
        (
            "shared.domain.adjustments:_document",
            "adjustment_document_id(adjustment.adjustment_id),",
            "adjustment_document_id(adjustment.adjustment_id + adjustment.booked_at),",
        ),
    ),
    mutant(
        "a correction upwards is not held against the ceiling",
        (
            "shared.domain.adjustments:adjust_operations",
            'allowed = compare(committed, "<=", Sum(("ceiling_micros",)))',
            'allowed = at_least({"spent_micros": 0})',
        ),
    ),
    mutant(
        "a grant does not raise the highest ceiling",
        (
            "shared.domain.limit_changes:raise_limit",
            '{"ceiling_micros": raised, "high_micros": raised}',
            '{"ceiling_micros": raised}',
        ),
    ),
    mutant(
        "a policy that lowers a limit forgets how high it was",
        (
            f"{_BUDGET_POLICIES}:apply_operation",
            "max(budget.high_micros, ceiling_micros)",
            "ceiling_micros",
        ),
    ),
    mutant(
        "a policy is applied over a grant that came in between",
        (
            f"{_BUDGET_POLICIES}:apply_operation",
            "every(unchanged, covered)",
            "covered",
        ),
    ),
    mutant(
        "what rolls over is taken by every opening",
        (f"{_POLICIES}:CosmosBudgetPolicies.carry_over", "Create(entry),", ""),
    ),
    mutant(
        "admission does not ask whether spending is frozen",
        (
            "shared.services.admission:Admission.reserve",
            "await self.freezes.refusal(reservation) if self.freezes else None",
            "None",
        ),
    ),
    mutant(
        "attempts go on while spending is frozen",
        (
            f"{_ATTEMPTS}._paused",
            'return postponed(generation_id, attempt, wait_s, "frozen", course)',
            "return None",
        ),
    ),
    mutant(
        "a view of the freezes is kept for minutes",
        (
            "shared.services.freezes:FreezeWatch.current",
            "if self._age(tenant_id) > FRESH:",
            "if self._age(tenant_id) > 60 * FRESH:",
        ),
        (
            "shared.services.freezes:FreezeWatch.current",
            "if self._age(tenant_id) > STALE_MAX:",
            "if self._age(tenant_id) > 60 * STALE_MAX:",
        ),
    ),
    mutant(
        "the sweep raises no alert that was missed",
        (
            "shared.services.alerts:Alerts._catch_up",
            "return await self._raise_new(partition, reached)",
            "return 0",
        ),
    ),
)
OF_ALERTS = (
    mutant(
        "an alert is created by everybody who sees it",
        (
            "shared.adapters.cosmos_alerts:CosmosAlerts.raise_once",
            "operations = [create_operation(alert), ",
            "own = create_operation(alert)\n"
            '    own.document["id"] += f"#{id(own)}"\n'
            "    operations = [own, ",
        ),
        (
            "shared.adapters.cosmos_alerts:CosmosAlerts.raise_once",
            "Create(outbox_document(alert.partition, event))]",
            "]",
        ),
    ),
)
MUTANTS = (*RESERVING, *CALLING, *ANSWERING, *FALLING, *SETTLING, *CHANGING)
