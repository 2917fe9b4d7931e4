"""An organisation in memory: everything that changes the directory, over one fake account."""

from dataclasses import dataclass, field, replace
from typing import Any

from shared.adapters.cosmos_organisation_policies import CosmosOrganisationPolicies
from shared.domain.directory import Actor
from shared.domain.identity import Caller, Principal
from shared.domain.users import Personal, User, caller_of
from shared.services.departments import Departments
from shared.services.directory_changes import DirectoryChanges
from shared.services.model_rules import OrganisationRules
from shared.services.organisation import Organisation
from shared.services.personal_data import PersonalData
from shared.services.roles import Roles
from shared.services.user_changes import UserChanges
from shared.services.users import UserOrder, Users
from tests.builders import TENANT
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory_store import FakeDirectoryStore, StoredDirectory
from tests.fakes.field_keys import Sealing

SEED = Actor("system:seed", "system", "seed")
ROLES = ("StandardUser", "PowerUser", "DeptManager", "OrgAdmin", "SuperAdmin")


def object_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass
class World:
    """Services over one account; people are entered as the seed enters them."""

    connection: FakeConnection = field(default_factory=FakeConnection)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.store = FakeDirectoryStore(self.connection)
        self.directory = StoredDirectory(self.connection)
        self.changes = DirectoryChanges(self.store, self.clock)
        self.people = UserChanges(self.store, self.clock)
        vault = Sealing(connection=self.connection, clock=self.clock).vault
        self.personal = PersonalData(vault, b"secret of the tests")
        self.policies = FakeBudgetPolicies(self.connection)
        self.users = Users(self.people, self.changes, self.personal, self.policies)
        self.departments = Departments(self.store, self.changes, self.policies, self.clock)
        self.roles = Roles(self.store, self.changes, self.clock)
        self.rules = OrganisationRules(self.store, self.changes, self.clock)
        self.organisation = Organisation(
            self.departments,
            self.people,
            self.personal,
            self.policies,
            CosmosOrganisationPolicies(self.connection.as_connection()),
            self.clock,
        )

    async def department(self, *names: str, parent: str | None = None) -> None:
        for name in names:
            await self.departments.enter(TENANT, name, name.title(), parent, SEED)

    async def enter(
        self, number: int, role: str = "StandardUser", department: str = "marketing", **fields: Any
    ) -> User:
        """Person `number`, as a seed enters them."""
        personal = fields.pop("personal", Personal())
        user = User(TENANT, object_id(number), department, role_id=role, source="seed", **fields)
        return await self.people.write(None, await self.personal.sealed(user, personal), SEED)

    async def caller(self, number: int) -> Caller:
        """Person `number` at the door, as of now."""
        principal = Principal(TENANT, object_id(number))
        return caller_of(principal, await self.directory.user(principal))

    async def entered(
        self, number: int, role: str = "StandardUser", department: str = "marketing"
    ) -> Caller:
        await self.enter(number, role, department)
        return await self.caller(number)

    async def stored(self, number: int) -> User:
        found = await self.people.find(TENANT, object_id(number))
        assert found is not None
        return found

    async def actions(self) -> list[str]:
        """What audit events tell, in the order of their ids."""
        return sorted(str(each["action"]) for each in await self.store.events(TENANT))


def order(department_id: str = "marketing", **fields: Any) -> UserOrder:
    return replace(UserOrder(department_id), **fields)
