"""What the first request of an organisation must look like."""

from pydantic import Field

from functions.http_budgets_models import Micros
from functions.http_models import Body
from functions.http_reasons import REASON_PATTERN
from functions.http_users_models import GUID_PATTERN
from shared.domain.ids import DEPARTMENT_ID_PATTERN
from shared.domain.views import View


class BootstrapRequest(Body):
    """Who is the first Super Admin, and the first department."""

    super_admin: str = Field(
        pattern=GUID_PATTERN, description="object id of the account at the identity provider"
    )
    department: str = Field(pattern=rf"^{DEPARTMENT_ID_PATTERN}$", examples=["operations"])
    department_name: str = Field(min_length=1, max_length=100, pattern=REASON_PATTERN)
    limit_micros: Micros = Field(description="micro-AUD a month, of the department and the person")


class BootstrapView(View):
    """What has begun."""

    super_admin: str
    department: str
    first: bool = Field(description="false: the same request had done it before")
