"""The route table: the HTTP API as data, for the triggers, for OpenAPI and for the tests."""

from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from functions import names
from shared.domain.generations import GenerationRequest
from shared.domain.history import GenerationFilter
from shared.domain.identity import Caller
from shared.domain.views import (
    BatchItemList,
    BatchView,
    BudgetView,
    EstimateView,
    GenerationList,
    GenerationView,
    HealthView,
    ImageView,
    ModelList,
    ReceiptView,
    ShownStatus,
    UploadSlotView,
)

PREFIX: Final = "v1/"  # behind host.json's routePrefix "api"
BATCH_ITEMS_MAX: Final = 1_000  # of a JSON body; larger batches are files
PAGE_MAX: Final = 100


class Query(BaseModel):
    """Root of all query strings."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class HistoryQuery(Query):
    """What a history listing is narrowed to."""

    status: ShownStatus | None = None
    provider: Literal["azure_openai", "replicate"] | None = None
    user: str | None = Field(
        default=None, pattern=r"^[0-9a-f-]{36}$", description="object id of the person who asked"
    )
    batch_id: str | None = Field(default=None, max_length=100)
    since: date | None = None
    until: date | None = Field(default=None, description="exclusive")
    limit: int = Field(default=20, ge=1, le=PAGE_MAX)
    continuation: str | None = Field(default=None, max_length=4_096)

    def wanted(self, caller: Caller) -> GenerationFilter:
        """The filter over stored records; `until` and `since` compare as ISO 8601 text."""
        return GenerationFilter(
            tenant_id=caller.tenant_id,
            status=self.status,
            provider=self.provider,
            user_key=f"{caller.tenant_id}.{self.user}" if self.user else None,
            batch_id=self.batch_id,
            since=self.since.isoformat() if self.since else None,
            until=self.until.isoformat() if self.until else None,
        )


class PageQuery(Query):
    """One page of a listing."""

    limit: int = Field(default=PAGE_MAX, ge=1, le=PAGE_MAX)
    continuation: str | None = Field(default=None, max_length=16)


class ContentQuery(Query):
    """How picture bytes are handed out."""

    delivery: Literal["bytes", "link"] = "bytes"


class ReceiptQuery(Query):
    """The form of a receipt."""

    format: Literal["json", "csv"] = "json"


class BudgetQuery(Query):
    """Which period of a budget."""

    period: str | None = Field(default=None, pattern=r"^\d{6}$", examples=["202611"])


class BatchItem(GenerationRequest):
    """One row of a JSON batch."""

    id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,64}$")


class BatchRequest(BaseModel):
    """A batch as a JSON body."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    items: tuple[BatchItem, ...] = Field(min_length=1, max_length=BATCH_ITEMS_MAX)


class UploadSlotRequest(BaseModel):
    """The file that will be put into the slot."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    file_name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\.(csv|jsonl|ndjson)$",
        examples=["storyboard.csv"],
    )


class ImageLinkView(BaseModel):
    """A short-lived link to one picture."""

    url: str
    expires_at: str


@dataclass(frozen=True)
class Route:
    """One operation of the API; `errors` are the codes it can answer besides the common ones."""

    name: str
    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    response: type[BaseModel] | None
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    public: bool = False
    idempotent: bool = False  # takes an Idempotency-Key
    other_bodies: tuple[str, ...] = field(default=())
    other_responses: tuple[str, ...] = field(default=())
    other_statuses: tuple[int, ...] = field(default=())


ROUTES: Final = (
    Route(
        names.SUBMIT_GENERATION, "POST", "generations", "Generate pictures", GenerationView,
        status=202, body=GenerationRequest, errors=(402, 409, 413, 415, 422), idempotent=True,
        other_statuses=(200,),
    ),
    Route(
        names.LIST_GENERATIONS, "GET", "generations", "List generations", GenerationList,
        query=HistoryQuery, errors=(422,),
    ),
    Route(
        names.GET_GENERATION, "GET", "generations/{id}", "Show a generation", GenerationView,
        errors=(404,),
    ),
    Route(
        names.CANCEL_GENERATION, "DELETE", "generations/{id}", "Cancel a generation",
        GenerationView, errors=(404, 409),
    ),
    Route(names.GET_IMAGE, "GET", "images/{id}", "Describe a picture", ImageView, errors=(404,)),
    Route(
        names.GET_IMAGE_CONTENT, "GET", "images/{id}/content", "Fetch a picture", ImageLinkView,
        query=ContentQuery, errors=(404, 413, 422),
        other_responses=("image/png", "image/jpeg", "image/webp", "image/gif"),
    ),
    Route(
        names.SUBMIT_BATCH, "POST", "batches", "Submit a batch", BatchView, status=202,
        body=BatchRequest, errors=(402, 409, 413, 415, 422), idempotent=True,
        other_bodies=("text/csv", "application/jsonl"),
    ),
    Route(
        names.CREATE_UPLOAD_SLOT, "POST", "batches/uploads", "Ask for an upload link",
        UploadSlotView, status=201, body=UploadSlotRequest, errors=(413, 415, 422),
    ),
    Route(
        names.GET_UPLOAD_SLOT, "GET", "batches/uploads/{id}", "Show an upload slot",
        UploadSlotView, errors=(404,),
    ),
    Route(names.GET_BATCH, "GET", "batches/{id}", "Show a batch", BatchView, errors=(404,)),
    Route(
        names.CANCEL_BATCH, "DELETE", "batches/{id}", "Cancel a batch", BatchView, status=202,
        errors=(404, 409),
    ),
    Route(
        names.LIST_BATCH_ITEMS, "GET", "batches/{id}/items", "List the rows of a batch",
        BatchItemList, query=PageQuery, errors=(404, 422),
    ),
    Route(
        names.GET_BATCH_RECEIPT, "GET", "batches/{id}/receipt", "Fetch the receipt", ReceiptView,
        query=ReceiptQuery, errors=(404, 409, 422), other_responses=("text/csv",),
    ),
    Route(
        names.ESTIMATE, "POST", "estimates", "Price a request", EstimateView,
        body=GenerationRequest, errors=(413, 415, 422),
    ),
    Route(names.LIST_MODELS, "GET", "models", "List models", ModelList),
    Route(
        names.GET_BUDGET, "GET", "budgets/{scope}", "Show a budget", BudgetView,
        query=BudgetQuery, errors=(404, 422),
    ),
    Route(
        names.HEALTH_LIVE, "GET", "health/live", "Is the worker alive", HealthView, public=True
    ),
    Route(
        names.HEALTH_READY, "GET", "health/ready", "Can the worker work", HealthView, public=True,
        other_statuses=(503,),
    ),
    Route(names.OPENAPI, "GET", "openapi.json", "This document", None, public=True),
)  # fmt: skip

BY_NAME: Final = {route.name: route for route in ROUTES}


def path_of(name: str) -> str:
    """The trigger's route template of a function."""
    return PREFIX + BY_NAME[name].path
