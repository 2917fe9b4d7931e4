"""What the HTTP API shows of providers: how they are, what they may be asked for, who waits."""

from pydantic import Field

from shared.domain.provider_health import HealthState, ProviderHealth
from shared.domain.token_buckets import US_PER_S, Claim, Standing
from shared.domain.views import View
from shared.domain.waiting_lines import Priority


class ProviderLimitView(View):
    """One limit of a provider over all workers."""

    name: str = Field(description="minute, day, or minute:{model}")
    quota: int = Field(description="starts that are never exceeded in the window")
    window_s: int
    left: int = Field(description="starts that could be made at once")

    @classmethod
    def of(cls, standing: Standing, quota: int) -> "ProviderLimitView":
        limit = standing.limit
        return cls(name=limit.name, quota=quota, window_s=limit.period_s, left=standing.left)


class WaitingView(View):
    """Who waits for a start, at one priority."""

    priority: str = Field(examples=["interactive"])
    departments: int
    oldest_wait_s: float = Field(description="since one of them was served last, or came")


class ProviderView(View):
    """One provider as all workers see it."""

    provider: str
    state: HealthState
    reason: str | None = Field(description="why it is not closed")
    until: str | None = Field(description="when the state may change by itself")
    latency_s: float | None = Field(description="median of recent deliveries")
    models: tuple[str, ...]
    limits: tuple[ProviderLimitView, ...]
    waiting: tuple[WaitingView, ...]
    calls_per_worker_max: int

    @classmethod
    def of(
        cls,
        health: ProviderHealth,
        models: tuple[str, ...],
        limits: tuple[ProviderLimitView, ...],
        line: tuple[WaitingView, ...],
        calls_per_worker_max: int,
    ) -> "ProviderView":
        return cls(
            provider=health.provider,
            state=health.state,
            reason=health.reason,
            until=health.until,
            latency_s=health.latency_s,
            models=models,
            limits=limits,
            waiting=line,
            calls_per_worker_max=calls_per_worker_max,
        )


class ProviderList(View):
    """Every provider that is configured."""

    items: tuple[ProviderView, ...]


def waiting_views(line: tuple[Claim, ...], now_us: int) -> tuple[WaitingView, ...]:
    """The line in front of a provider, without the names of departments."""
    found = []
    for priority in Priority:
        claims = [
            claim
            for claim in line
            if claim.lane.rank == priority and claim.lacks and claim.until_us > now_us
        ]
        if claims:
            oldest_us = now_us - min(claim.since_us for claim in claims)
            found.append(
                WaitingView(
                    priority=priority.name.lower(),
                    departments=len({claim.lane.department_id for claim in claims}),
                    oldest_wait_s=round(max(0, oldest_us) / US_PER_S, 1),
                )
            )
    return tuple(found)
