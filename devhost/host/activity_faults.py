"""Faults of activities on demand: a second delivery, or a crash at a given point."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Literal

CRASH_EXIT_CODE = 137  # what a shell reports for a process that was killed by SIGKILL

CrashPoint = Literal["before_activity", "after_activity"]


@dataclass
class CrashPlan:
    """Crash at the `remaining`-th passage of `point`; without a name any activity counts."""

    point: CrashPoint
    name: str | None
    remaining: int


class ActivityFaults:
    """What `/_control/redeliver` and `/_control/crash` have asked for; nothing by default."""

    def __init__(self) -> None:
        self._redeliver: dict[str, tuple[float, random.Random]] = {}
        self._plans: list[CrashPlan] = []
        self._commits_left: int | None = None

    def redeliver(self, activity: str, probability: float, seed: int) -> None:
        """From now on this activity is delivered again with this probability; 0 stops it."""
        self._redeliver[activity.casefold()] = (probability, random.Random(seed))

    def crash_at(self, plan: CrashPlan) -> None:
        self._plans.append(plan)

    def crash_after_commits(self, activities: int) -> None:
        """Crash once so many more activity results are committed."""
        self._commits_left = activities

    def wants_second_delivery(self, activity: str) -> bool:
        rule = self._redeliver.get(activity.casefold())
        return rule is not None and rule[1].random() < rule[0]

    def passing(self, point: CrashPoint, activity: str) -> None:
        """Called at each crash point; does not return when the time has come."""
        for plan in self._plans:
            if plan.point == point and (plan.name or activity).casefold() == activity.casefold():
                plan.remaining -= 1
                if plan.remaining <= 0:
                    crash()

    def committed(self) -> None:
        """Called after each committed activity result."""
        if self._commits_left is not None:
            self._commits_left -= 1
            if self._commits_left <= 0:
                crash()


def crash() -> None:
    """Ends the process at once: nothing is flushed, closed or finished."""
    os._exit(CRASH_EXIT_CODE)
