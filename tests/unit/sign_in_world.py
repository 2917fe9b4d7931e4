"""Sign-ins and sessions over fakes."""

import hashlib

from shared.adapters.cosmos_sessions import CosmosSessions
from shared.domain.access_tokens import StepUpTerms
from shared.domain.browsers import BrowserRequest
from shared.domain.sessions import PROFILES
from shared.ports import DirectoryUser
from shared.services.session_checks import SessionChecks
from shared.services.sessions import Sessions
from shared.services.sign_ins import SignIns
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.field_keys import Sealing
from tests.fakes.sign_in import TENANT, FakeSignIn

AVA = "a0000000-0000-4000-8000-000000000001"
BEN = "a0000000-0000-4000-8000-000000000002"
POLICY = PROFILES["standard"]
BROWSER = BrowserRequest("GET", agent="Firefox/140.0 Linux")


class World:
    """Sign-ins over fakes; ava is known, ben is disabled."""

    def __init__(self, terms: StepUpTerms | None = None) -> None:
        self.clock = FakeClock()
        self.issuer = FakeSignIn()
        self.secrets = 0
        self.copied = 0
        self.connection = FakeConnection()
        self.sealing = Sealing(connection=FakeConnection(), clock=self.clock)
        store = CosmosSessions(self.connection.as_connection(), POLICY, self.clock)
        self.sessions = Sessions(
            store,
            SessionChecks(self.issuer, self.sealing.vault),
            POLICY,
            self.clock,
            self.new_secret,
            self.note_copied,
        )
        self.users = {
            f"{TENANT}.{AVA}": DirectoryUser("marketing"),
            f"{TENANT}.{BEN}": DirectoryUser("marketing", status="disabled"),
        }
        self.sign_ins = SignIns(
            self.issuer,
            self.sessions,
            FakeDirectory(self.users),
            terms or StepUpTerms(),
            TENANT,
            self.clock,
            self.new_secret,
        )

    def note_copied(self) -> None:
        self.copied += 1

    def new_secret(self) -> bytes:
        self.secrets += 1
        return hashlib.sha256(str(self.secrets).encode()).digest()
