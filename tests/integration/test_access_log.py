"""Each authorisation decision is found in the audit log: who, what, on which object, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import uuid4

import pytest

from devhost.local_settings import people
from tests.integration.api import Json, Person, order, until
from tests.integration.browser import Browser
from tests.integration.cloud import Cloud, organisation

SECRET = "canary-in-an-address"


async def events(cloud: Cloud, condition: str, **values: object) -> list[Json]:
    condition = f"STARTSWITH(c.pk, 'access:') AND ({condition})"
    return [each["event"] for each in await cloud.documents("audit", condition, **values)]


async def of_request(cloud: Cloud, correlation_id: str) -> list[Json]:
    return await events(cloud, "c.event.correlation_id = @id", id=correlation_id)


@dataclass(frozen=True)
class Crew:
    """People of a department of their own, whom no other test has denied anything yet."""

    owner: Person
    peer: Person
    manager: Person
    admin: Person
    admin_id: str
    department: str
    generation: str  # the owner's


@pytest.fixture(scope="module")
async def crew(own_cloud: Cloud) -> Crew:
    department = f"l{uuid4().hex[:10]}"
    roles = ["StandardUser", "StandardUser", "DeptManager", "OrgAdmin"]
    file = organisation(department, 10**9, [10**9] * 4, roles)
    for user in file["users"]:
        user["object_id"] = str(uuid4())
    await own_cloud.seed(file)
    owner, peer, manager, admin = [
        await own_cloud.minted(claims={"oid": user["object_id"]}) for user in file["users"]
    ]
    made = (await owner.generate(order("flux-schnell")))["id"]
    admin_id = file["users"][-1]["object_id"]
    return Crew(owner, peer, manager, admin, admin_id, department, made)


async def test_denial_is_in_the_log_when_it_is_answered(ledger: Cloud, crew: Crew) -> None:
    answer = await crew.peer.get(f"/generations/{crew.generation}")
    answer.problem(404, "not_found")
    (event,) = await of_request(ledger, answer.headers["x-correlation-id"])
    assert event["outcome"] == "denied" and event["reason"] == "not_found"
    assert event["object_id"] == f"generations:{crew.generation}"
    assert event["details"]["operation"] == "GetGeneration"
    assert event["details"]["permission"] == "generations.read"
    assert event["details"]["rule"] == "not_reached"
    assert event["details"]["policy_version"].startswith("StandardUser.")
    assert event["actor_role"] == "StandardUser"


async def test_refused_permission_is_in_the_log_when_it_is_answered(
    ledger: Cloud, crew: Crew
) -> None:
    answer = await crew.owner.get("/roles")
    assert answer.status == 403
    (event,) = await of_request(ledger, answer.headers["x-correlation-id"])
    assert event["outcome"] == "denied" and event["reason"] == "policy_denied"
    assert (event["details"]["permission"], event["details"]["rule"]) == ("roles.read", "none")


@pytest.mark.parametrize("path", ["/generations/{}", "/generations/{}/evidence"])
async def test_manager_who_reads_what_is_others_is_in_the_log_when_it_is_answered(
    ledger: Cloud, crew: Crew, path: str
) -> None:
    answer = await crew.manager.get(path.format(crew.generation))
    assert answer.status in (200, 409)  # evidence may not be in the verifiable log yet
    found = await of_request(ledger, answer.headers["x-correlation-id"])
    if answer.status == 200:
        (event,) = found
        assert event["outcome"] == "success" and event["details"]["rule"] == "department"


async def test_reader_of_the_audit_log_is_in_the_log_when_it_is_answered(
    ledger: Cloud, crew: Crew
) -> None:
    params = {"event_id": "nobody:did"}
    answer = await crew.admin.get("/audit-log/entries", params)
    (event,) = await of_request(ledger, answer.headers["x-correlation-id"])
    assert event["details"]["permission"] == "audit.read"
    listed = await crew.admin.get("/users", {"department": crew.department})
    (event,) = await of_request(ledger, listed.headers["x-correlation-id"])
    assert event["details"]["asked_for"] == crew.department
    assert event["details"]["permission"] == "users.read"


async def test_own_reads_are_summed_up_in_one_event(ledger: Cloud, crew: Crew) -> None:
    for _ in range(10):
        answer = await crew.owner.get(f"/generations/{crew.generation}")
        assert await of_request(ledger, answer.headers["x-correlation-id"]) == []

    async def summed() -> list[str]:
        found = await events(ledger, "CONTAINS(c.id, 'access.allowed_summary')")
        uses = [use for each in found for use in each["details"]["uses"].split(",")]
        wanted = f"GetGeneration|generations.read|own|-|generations:{crew.generation}|"
        return [use for use in uses if use.startswith(wanted)]

    found = await until(summed, lambda uses: sum(int(use.rsplit("|")[-1]) for use in uses) >= 10)
    assert len(found) <= 5


async def test_change_is_summed_up_beside_its_own_event(ledger: Cloud, crew: Crew) -> None:
    async def summed() -> list[Json]:
        uses = "CONTAINS(c.event.details.uses, 'SubmitGeneration|generations.create')"
        return await events(ledger, uses)

    assert await until(summed, len)


async def test_session_and_its_uses_are_in_the_log_with_their_person(ledger: Cloud) -> None:
    """What contradicts "that was not me": the session, a denial, what was allowed, its end."""
    ben = next(user for user in people()["users"] if user["username"] == "ben")
    person = f"{ben['tenant']}.{ben['oid']}"
    browser = Browser(ledger.session, ledger.api_url)
    session_id = (await browser.signed_in("ben"))["session"]["id"]
    refused = await browser.get("/roles")
    assert refused.status == 403
    (event,) = await of_request(ledger, refused.headers["x-correlation-id"])
    assert (event["actor"], event["outcome"]) == (person, "denied")
    mine = "c.event.actor = @me AND CONTAINS(c.event.details.uses, @use)"

    async def summed() -> list[Json]:
        return await events(ledger, mine, me=person, use="GetUser|users.read|own|")

    assert (await browser.get("/users/me")).status == 200
    assert await until(summed, len)
    assert (await browser.send("POST", "/auth/logout")).status in (200, 204)

    async def told() -> dict[str, str]:
        await ledger.fire("AuditRelay")
        found = await ledger.documents("audit", "STARTSWITH(c.id, @id)", id=f"session:{session_id}")
        return {each["event"]["action"]: each["event"]["actor"] for each in found}

    ends = await until(told, lambda found: len(found) == 2)
    assert ends == {"session.started": person, "session.ended": person}


async def test_known_person_who_lacks_more_proof_is_in_the_log_by_role(
    ledger: Cloud, crew: Crew
) -> None:
    weak = await ledger.minted(
        claims={"oid": crew.admin_id, "acrs": None, "xms_cc": None},
    )
    answer = await weak.send("DELETE", f"/users/{uuid4()}")
    answer.problem(403, "step_up_required")
    (event,) = await of_request(ledger, answer.headers["x-correlation-id"])
    assert (event["actor_role"], event["reason"]) == ("OrgAdmin", "step_up_required")
    assert event["details"]["policy_version"].startswith("OrgAdmin.")


async def test_stranger_with_a_good_token_is_in_the_log(ledger: Cloud) -> None:
    object_id = str(uuid4())
    somebody = await ledger.minted(claims={"oid": object_id})
    answer = await somebody.get("/models")
    answer.problem(403, "unknown_user")
    (event,) = await of_request(ledger, answer.headers["x-correlation-id"])
    assert event["actor"].endswith(f".{object_id}") and event["actor_role"] == "none"
    assert event["reason"] == "unknown_user"
    assert event["details"]["rule"] == "before_rights"


async def test_flood_of_refusals_does_not_fill_the_log(ledger: Cloud, finn: Person) -> None:
    before = len(await events(ledger, "CONTAINS(c.id, 'access.denied.')"))
    for number in range(60):
        (await finn.get(f"/generations/{number:032x}")).problem(404, "not_found")
    told = len(await events(ledger, "CONTAINS(c.id, 'access.denied.')")) - before
    assert told <= 40  # of two minutes, if one has ended meanwhile

    async def counted() -> int:
        found = await events(ledger, "CONTAINS(c.id, 'access.denied_summary')")
        return sum(each["details"]["decisions"] for each in found if finn_did(each))

    def finn_did(event: Json) -> bool:
        return "GetGeneration|none|before_rights|not_found|any" in event["details"]["uses"]

    await until(counted, lambda count: told + count >= 60)


async def test_callers_without_a_token_are_counted(ledger: Cloud, nobody: Person) -> None:
    (await nobody.get("/models")).problem(401, "unauthenticated")
    somebody = Person(nobody.session, ledger.host_url, None)
    assert (await somebody.get("/scim/v2/Users")).status == 401
    assert (await nobody.get("/nothing")).status == 404

    async def counted() -> str:
        found = await events(ledger, "c.event.actor = 'anonymous'")
        assert all(each["outcome"] == "denied" for each in found)
        return ",".join(each["details"]["uses"] for each in found)

    kinds = (
        "ListModels|none|before_rights|unauthenticated|any|",
        "ScimListUsers|none|before_rights|http_401|any|",
        "UnknownRoute|none|before_rights|not_found|any|",
    )
    await until(counted, lambda uses: all(kind in uses for kind in kinds))


async def test_nothing_that_was_sent_stands_in_the_log(ledger: Cloud, pat: Person) -> None:
    typed = f"{SECRET}.{uuid4().hex}"
    await pat.get(f"/generations/{typed}", {"department": typed})
    await pat.get(f"/users/{typed}@contoso.example")
    await pat.send("DELETE", f"/grants/{typed}")
    text = json.dumps(await events(ledger, "true"))
    assert SECRET not in text and "Bearer" not in text and "lighthouse" not in text
