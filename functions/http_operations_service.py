"""Provider webhooks, health, the API description: what each route takes and answers."""

from collections.abc import Mapping
from typing import Final

from functions import names
from functions.http_operation import Operation
from shared.domain.views import (
    HealthView,
)

SERVICE_OPERATIONS: Final[Mapping[str, Operation]] = {
    names.RECEIVE_REPLICATE_WEBHOOK: Operation(
        "Tell that a run at Replicate has ended", None, status=204, errors=(401, 404, 413)
    ),
    names.HEALTH_LIVE: Operation("Is the worker alive", HealthView),
    names.HEALTH_READY: Operation("Can the worker work", HealthView, other_statuses=(503,)),
    names.OPENAPI: Operation("This document", None),
}  # fmt: skip
