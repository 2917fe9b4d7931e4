"""The SDK's errors, as the in-memory container raises them."""

from collections.abc import Callable
from typing import Any

from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

HttpError = Callable[..., CosmosHttpResponseError]
_batch_failed: Callable[..., CosmosBatchOperationError] = CosmosBatchOperationError
NOT_FOUND, CONFLICT, PRECONDITION_FAILED, FAILED_DEPENDENCY = 404, 409, 412, 424


class Refused(Exception):
    """One operation was refused with an HTTP status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def item_error(refusal: Refused) -> CosmosHttpResponseError:
    kinds: dict[int, HttpError] = {
        NOT_FOUND: CosmosResourceNotFoundError,
        CONFLICT: CosmosResourceExistsError,
        PRECONDITION_FAILED: CosmosAccessConditionFailedError,
    }
    kind = kinds.get(refusal.status, CosmosHttpResponseError)
    return kind(status_code=refusal.status, message=str(refusal))


def batch_error(index: int, refusal: Refused, operations: int) -> CosmosBatchOperationError:
    responses: list[dict[str, Any]] = [
        {"statusCode": FAILED_DEPENDENCY, "requestCharge": 0.0} for _ in range(operations)
    ]
    responses[index] = {"statusCode": refusal.status, "requestCharge": 1.0}
    return _batch_failed(
        error_index=index,
        headers={},
        status_code=refusal.status,
        message=str(refusal),
        operation_responses=responses,
    )
