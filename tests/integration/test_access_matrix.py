"""Who gets what, for every route, role and scope: measured over HTTP, compared with what was read
and agreed in `tests/data/access_matrix.csv`.

`EIG_RECORD_ACCESS_MATRIX=1` writes the file anew; each line of the difference wants a reader.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
from collections.abc import AsyncIterator

import pytest

from functions.http_routes import Route
from tests.access_matrix import COLUMNS, MATRIX, ROLES, agreed
from tests.integration.access_stage import (
    RULED,
    WHY,
    Scope,
    Stage,
    build_stage,
    scopes_of,
    strike_stage,
)
from tests.integration.api import Person
from tests.integration.books import wait_until_copied
from tests.integration.cloud import Cloud


@pytest.fixture(scope="module")
async def stage(own_cloud: Cloud, olga: Person) -> AsyncIterator[Stage]:
    built = await build_stage(own_cloud, olga)
    yield built
    await strike_stage(built)


def word_for(status: int) -> str:
    """Whether somebody was let through; what came of it then is no question of rights."""
    assert status != 401 and status < 500, status
    return str(status) if status in (403, 404) else "allow"


async def measured(stage: Stage, route: Route, scope: Scope) -> list[str]:
    async def word(role: str) -> str:
        person = (stage.away if scope == "other" else stage.home)[role]
        things = {"own": stage.own[role], "foreign": stage.foreign}.get(scope, stage.shared)
        return word_for(await stage.send(person, route, things))

    if route.method == "GET":
        return list(await asyncio.gather(*map(word, ROLES)))
    return [await word(role) for role in ROLES]  # each finds what the one before has left


@pytest.mark.skipif("EIG_RECORD_ACCESS_MATRIX" not in os.environ, reason="the file stands")
async def test_matrix_is_recorded(stage: Stage) -> None:
    with MATRIX.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for route in RULED:
            for scope in scopes_of(route):
                writer.writerow([route.name, scope, *await measured(stage, route, scope)])


@pytest.mark.parametrize("route", RULED, ids=lambda route: str(route.name))
async def test_route_answers_each_role_as_agreed(stage: Stage, route: Route) -> None:
    rows = agreed()
    for scope in scopes_of(route):
        assert await measured(stage, route, scope) == rows[route.name, scope], scope


async def test_what_people_typed_is_kept_where_it_can_be_deleted_and_nowhere_else(
    stage: Stage,
) -> None:
    await wait_until_copied(stage.cloud)
    assert WHY in json.dumps(await stage.cloud.documents("ledger"))
    assert WHY not in json.dumps(await stage.cloud.documents("audit"))
