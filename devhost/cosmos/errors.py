"""The errors the emulator answers with, in the words and codes of the service."""

from __future__ import annotations

from dataclasses import dataclass, field

CODE_OF_STATUS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    500: "InternalServerError",
    501: "NotImplemented",
}

# Sub-statuses that the SDKs act upon.
PARTITION_KEY_MISMATCH = 1001
READ_SESSION_NOT_AVAILABLE = 1002
OWNER_RESOURCE_NOT_FOUND = 1003
CROSS_PARTITION_QUERY_NOT_SERVABLE = 1004
COLLECTION_RID_MISMATCH = 1024
RU_BUDGET_EXCEEDED = 3200


@dataclass
class ServiceError(Exception):
    """A refusal with its HTTP status; `headers` are added to the answer."""

    status: int
    message: str
    substatus: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        return CODE_OF_STATUS.get(self.status, str(self.status))

    def __str__(self) -> str:
        return f"{self.status}/{self.substatus} {self.message}"


def bad_request(message: str, substatus: int = 0) -> ServiceError:
    return ServiceError(400, message, substatus)


def item_not_found() -> ServiceError:
    return ServiceError(404, "Entity with the specified id does not exist in the system.")


def owner_not_found(what: str) -> ServiceError:
    return ServiceError(
        404, f"Owner resource does not exist: {what}.", substatus=OWNER_RESOURCE_NOT_FOUND
    )


def already_exists() -> ServiceError:
    return ServiceError(409, "Entity with the specified id already exists in the system.")


def precondition_failed() -> ServiceError:
    return ServiceError(
        412, "Operation cannot be performed because one of the specified precondition is not met."
    )


def too_large(message: str) -> ServiceError:
    return ServiceError(413, message)


def not_emulated(what: str) -> ServiceError:
    """What the service may do and this emulator does not: never ignored, always 501."""
    return ServiceError(501, f"Not emulated: {what}.")
