"""Reports as people ask for them: what each role may see, and which days and periods count."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from shared.adapters.cosmos_ledger import CosmosLedger
from shared.domain.identity import Caller, Role
from shared.domain.ids import Partition
from shared.errors import Invalid, NotFound, PolicyDenied
from shared.services import reports as reports_module
from shared.services.calendars import Calendars
from shared.services.reports import Reports
from tests import builders
from tests.fakes.budget_policies import FakeBudgetPolicies
from tests.fakes.clock import FakeClock
from tests.fakes.cosmos_container import FakeConnection
from tests.fakes.directory import FakeDirectory
from tests.fakes.entries import FakeEntries
from tests.synthetic_spend import adjustment, resolution
