"""Two departments of ours and one of another tenant, with a thing of every kind in each.

What is asked of whom stands in `tests/data/access_matrix.csv`; this builds the requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import uuid4

from devhost.local_settings import people
from functions import names
from functions.http_operations import OPERATIONS
from functions.http_routes import API, ROUTES, Route, path_of
from tests.access_matrix import ROLES
from tests.integration.api import Answer, Json, Person, order, until
from tests.integration.cloud import Cloud, organisation

Scope = Literal["own", "department", "other", "foreign"]
HOME, AWAY, ABROAD = "stagehome", "stageaway", "stageabroad"
PLENTY = 10**10
FOREIGN_TENANT_ID: Final = str(people()["tenants"][1]["id"])
CUSTOM_ROLE: Final = "custom:stage"
PERIOD: Final = f"{datetime.now(UTC):%Y%m}"
NEVER: Final = {"If-Match": '"999999999"'}  # whoever may write meets a 412 and changes nothing
RULED: Final = tuple(route for route in ROUTES if not route.public)
WHY: Final = f"Jane Citizen complained ({uuid4().hex})"  # nothing that is kept for ever has it
PERSONAL: Final = ("generations/", "images/", "batches/", "users/", "budgets/")  # of one person


@dataclass
class Things:
    """The ids of one owner's things, by what stands in the place of an id in a path."""

    department: str
    owner: str
    ids: dict[str, str] = field(default_factory=dict)

    def fill(self, route: Route) -> str:
        """The path of a route for these things."""
        path = route.path
        kinds = {
            "generations": "generation",
            "openai": "generation",
            "images": "image",
            "batches/uploads": "slot",
            "batches": "batch",
            "grants": "grant",
            "approvals": "approval",
            "privacy/overrides": "override",
        }
        known = {
            "scope": f"user:{self.owner}",
            "target": f"project:{self.department}.{self.ids.get('target', 'nothing')}",
            "department": self.department,
            "period": PERIOD,
        }
        first = next((kind for kind in kinds if path.startswith(f"{kind}/")), "")
        by_place = {
            "users": self.owner,
            "departments": self.department,
            "roles": CUSTOM_ROLE,
            "alert-channels": f"{self.department}.stage",
            "models": "gpt-image-2",
        }
        known["id"] = self.ids.get(kinds.get(first, ""), "") or by_place.get(
            path.split("/", 1)[0], f"{PERIOD}-{self.department}-{'0' * 32}"
        )
        return "/" + path_of(route.name).replace(
            route.path, re.sub(r"{(\w+)}", lambda name: known[name[1]], route.path)
        )


@dataclass
class Stage:
    cloud: Cloud
    admin: Person
    home: dict[str, Person] = field(default_factory=dict)  # by role
    away: dict[str, Person] = field(default_factory=dict)
    home_ids: dict[str, str] = field(default_factory=dict)
    shared: Things = field(default_factory=lambda: Things(HOME, ""))
    own: dict[str, Things] = field(default_factory=dict)  # by role
    abroad: list[tuple[str, str, str]] = field(default_factory=list)  # container, id, partition
    foreign: Things = field(default_factory=lambda: Things(ABROAD, str(uuid4())))

    async def send(self, person: Person, route: Route, things: Things) -> int:
        """The status that somebody gets who asks for a route of these things."""
        return (await self.exchange(person, route, things)).status

    async def exchange(
        self,
        person: Person,
        route: Route,
        things: Things,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """What somebody gets who asks for a route of these things, perhaps with more headers."""
        if route.name in (names.SET_FREEZE, names.LIFT_FREEZE):
            things = await self._frozen(things, stands=route.name == names.LIFT_FREEZE)
        address = things.fill(route)
        person = Person(person.session, self.cloud.host_url, person.token)
        return await person.send(
            route.method,
            address,
            headers=self._headers(route) | dict(headers or {}),
            params=self._query(route, things),
            **self._body(route, things),
        )

    async def _frozen(self, things: Things, *, stands: bool) -> Things:
        """A target nobody else has; with a freeze of the department's own manager, if it stands."""
        target = f"n{uuid4().hex[:10]}"
        if stands:
            path = f"/freezes/project:{things.department}.{target}"
            manager = self.home["DeptManager"]
            answer = await manager.send("PUT", path, json={"reason": WHY})
            assert answer.status == 200, answer.content
        return Things(things.department, things.owner, {**things.ids, "target": target})

    def _headers(self, route: Route) -> dict[str, str]:
        headers = dict(NEVER) if OPERATIONS[route.name].conditional else {}
        if route.name == names.IMPORT_USERS:
            headers["Content-Type"] = "text/csv"
        return headers

    def _query(self, route: Route, things: Things) -> dict[str, str]:
        query = OPERATIONS[route.name].query
        fields = query.model_fields if query else {}
        params = {}
        if "department" in fields:
            params["department"] = things.department
        if "owner" in fields:
            params["owner"] = things.department
        if route.name == names.LIFT_FREEZE:
            params["reason"] = WHY
        if route.name in (names.GET_AUDIT_FILE, names.GET_AUDIT_ENTRY):
            params |= {"name": "checkpoint"} if "name" in fields else {"event_id": "nobody:did"}
        if route.name == names.GET_INCLUSION_PROOF:
            params["index"] = "0"
        if route.name == names.GET_CONSISTENCY_PROOF:
            params |= {"old": "1", "new": "1"}
        return params

    def _body(self, route: Route, things: Things) -> dict[str, Any]:
        if route.name == names.IMPORT_USERS:
            row = f"{uuid4()},{things.department}\n"
            return {"data": f"object_id,department\n{row}".encode()}
        example = OPERATIONS[route.name].example
        if OPERATIONS[route.name].body is None or example is None:
            return {}
        typed = {name: WHY for name in ("reason", "comment") if name in example}
        return {"json": {**example, **typed, **self._changed(route, things)}}

    def _changed(self, route: Route, things: Things) -> Mapping[str, Any]:
        """What of an example must name these things, or must not do what it says."""
        soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        department = things.department
        return {
            names.SUBMIT_GENERATION: order("flux-schnell"),
            names.SUBMIT_BATCH: {"items": [order("flux-schnell")]},
            names.OPENAI_GENERATE: {"model": "gpt-image-2", "quality": "low"},
            names.CREATE_GRANT: {"scopes": [f"user:{things.owner}"], "amount_micros": 1_000},
            names.CREATE_OVERRIDE: {
                "scopes": [f"department:{department}"],
                "amount_micros": 1_000,
                "surcharge_percent": 0,
            },
            names.CLOSE_PERIOD: {"department": department, "period": PERIOD},
            names.RECONCILE: {"day": "2020-01-01"},
            names.CREATE_PRIVACY_OVERRIDE: {"ends_at": soon, "department": department},
            names.CREATE_USER: {
                "id": str(uuid4()),
                "department": department,
                "role": "StandardUser",
            },
            names.PUT_USER_STATUS: {"status": "disabled"},
            names.PUT_USER: {"department": department, "tier": "enterprise"},
            names.CREATE_DEPARTMENT: {"id": f"s{uuid4().hex[:10]}", "parent": None},
        }.get(route.name, {})


async def build_stage(cloud: Cloud, admin: Person) -> Stage:
    stage = Stage(cloud, admin)
    for department, persons in ((HOME, stage.home), (AWAY, stage.away)):
        file = organisation(department, PLENTY, [PLENTY] * 6, ("StandardUser", *ROLES))
        await cloud.seed(file)
        ids = [user["object_id"] for user in file["users"]]
        for role, object_id in zip(ROLES, ids[1:], strict=True):
            persons[role] = await cloud.minted(claims={"oid": object_id})
            if department == HOME:
                stage.home_ids[role] = object_id
        if department == HOME:
            stage.shared.owner = ids[0]
    owner = await cloud.minted(claims={"oid": stage.shared.owner})
    await _perform(owner, stage.shared)
    await _manage(stage, owner)
    for role, person in stage.home.items():
        stage.own[role] = Things(HOME, stage.home_ids[role])
        await _perform(person, stage.own[role])
    await _go_abroad(stage)
    await until(  # who may decide depends on the time until then
        lambda: _approval(owner, stage.shared.ids["approval"]),
        lambda approval: approval["status"] not in ("pending", "escalated"),
    )
    return stage


async def _approval(owner: Person, approval_id: str) -> Json:
    return (await owner.get(f"/approvals/{approval_id}")).json()


async def strike_stage(stage: Stage) -> None:
    """Takes the other tenant's documents away, whose books nobody kept."""
    for container, document_id, partition_key in stage.abroad:
        await stage.cloud.container(container).delete_item(document_id, partition_key)


async def _perform(person: Person, things: Things) -> None:
    """A generation with its picture, a batch and a slot."""
    done = await person.generate(order())
    batch = await person.run_batch([order("flux-schnell")])
    slot = (await person.post("/batches/uploads", {"file_name": "rows.csv"})).json(201)
    things.ids |= {
        "generation": done["id"],
        "image": done["images"][0]["id"],
        "batch": batch["id"],
        "slot": slot["id"],
    }


async def _manage(stage: Stage, owner: Person) -> None:
    """A grant, an override of the privacy screen, a channel, an approval and a role."""
    manager, things = stage.home["DeptManager"], stage.shared
    asks: Json = {"limit_micros": 0, "overage": "approval"}
    await _put(manager, "/budgets/project:asks", asks)
    waiting = (await owner.post("/generations", order(project="asks"))).json(202)
    grant: Json = {
        "scopes": [f"user:{things.owner}"],
        "amount_micros": 1_000,
        "reason": WHY,
    }
    override: Json = {
        "data_classes": ["person"],
        "reason": WHY,
        "ends_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    things.ids |= {
        "approval": waiting["id"],
        "grant": (await manager.post("/grants", grant)).json(201)["id"],
        "override": (await manager.post("/privacy/overrides", override)).json(201)["id"],
    }
    channel: Json = {"kind": "email", "recipients": ["stage@contoso.example"]}
    await _put(manager, f"/alert-channels/{HOME}.stage", channel)
    role: Json = {"name": "Stage hand", "rank": "StandardUser", "permissions": {}}
    await _put(stage.admin, f"/roles/{CUSTOM_ROLE}", role)


async def _put(person: Person, path: str, body: Json) -> None:
    """Create it, or write over what the stage of another module has left."""
    answer = await person.send("PUT", path, json=body, headers={"If-None-Match": "*"})
    if answer.status == 412:
        answer = await person.send("PUT", path, json=body, headers={"If-Match": "*"})
    assert answer.status == 200, answer.content


async def _go_abroad(stage: Stage) -> None:
    """Copies of the records in a department of another tenant, and that tenant's own entries."""
    foreign = stage.foreign

    async def keep(container: str, document: Json) -> None:
        await stage.cloud.container(container).create_item(document)
        stage.abroad.append((container, document["id"], document["pk"]))

    for kind, document_id in (("generation", "g:{}"), ("batch", "batch:{}"), ("slot", "slot:{}")):
        own = stage.shared.ids[kind]
        [record] = await stage.cloud.documents("ledger", "c.id = @id", id=document_id.format(own))
        copied = own.replace(HOME, ABROAD)
        record = {key: value for key, value in record.items() if not key.startswith("_")}
        record |= {
            "id": document_id.format(copied),
            "pk": record["pk"].replace(HOME, ABROAD),
            f"{kind}_id": copied,
            "tenant_id": FOREIGN_TENANT_ID,
            "department_id": ABROAD,
            "user_key": f"{FOREIGN_TENANT_ID}.{foreign.owner}",
        }
        if "request" in record:  # nobody here has the keys of that tenant
            record["request"] |= {"prompt": "theirs", "negative_prompt": None}
            record["prompt_salt"] = "00" * 16
        await keep("ledger", record)
        foreign.ids[kind] = copied
    foreign.ids["image"] = f"{foreign.ids['generation']}_0"
    for kind in ("approval", "grant", "override"):
        foreign.ids[kind] = stage.shared.ids[kind].replace(HOME, ABROAD)
    entry = {"department_id": ABROAD, "tenant_id": FOREIGN_TENANT_ID}
    await keep("directory", {"id": ABROAD, "pk": "departments", "type": "x", **entry})
    for document in await stage.cloud.documents(
        "directory",
        "c.id = @d OR c.id = @u",
        d=f"department:{HOME}",
        u=f"user:{stage.shared.owner}",
    ):
        theirs = {key: value for key, value in document.items() if not key.startswith("_")}
        is_user = theirs["type"] == "user"
        name = f"user:{foreign.owner}" if is_user else f"department:{ABROAD}"
        theirs |= {"id": name, "pk": FOREIGN_TENANT_ID}
        theirs |= {"object_id": foreign.owner} if is_user else {"department_id": ABROAD}
        await keep("directory", theirs)


def scopes_of(route: Route) -> list[Scope]:
    """The scopes that make a difference to a route: all for things, none for what has none."""
    query = OPERATIONS[route.name].query
    takes_department = query is not None and {"department", "owner"} & set(query.model_fields)
    named = {
        names.CREATE_GRANT,
        names.CREATE_OVERRIDE,
        names.CLOSE_PERIOD,
        names.CREATE_PRIVACY_OVERRIDE,
        names.CREATE_USER,
    }
    if route.path.startswith(("freezes/", "roles/")):
        return ["department", "other"]  # a name that only the caller's tenant ever sees
    if route.root == API and "{" in route.path:
        personal = route.path.startswith(PERSONAL)
        return [*(["own"] if personal else []), "department", "other", "foreign"]  # type: ignore[list-item]
    if takes_department or route.name in named:
        return ["department", "other", "foreign"]
    return ["department"]
