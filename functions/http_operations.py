"""What each route takes and answers, in the order of `http_routes.py`."""

from collections.abc import Mapping
from typing import Final

from functions.http_operation import Operation
from functions.http_operations_generations import GENERATION_OPERATIONS
from functions.http_operations_money import MONEY_OPERATIONS
from functions.http_operations_openai import OPENAI_OPERATIONS
from functions.http_operations_people import PEOPLE_OPERATIONS
from functions.http_operations_service import SERVICE_OPERATIONS
from functions.http_operations_trust import TRUST_OPERATIONS

OPERATIONS: Final[Mapping[str, Operation]] = {
    **GENERATION_OPERATIONS,
    **MONEY_OPERATIONS,
    **TRUST_OPERATIONS,
    **PEOPLE_OPERATIONS,
    **OPENAI_OPERATIONS,
    **SERVICE_OPERATIONS,
}
