"""What each route takes and answers: the models and OpenAPI facts beside `http_routes.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from functions import names
from functions.http_models import (
    BatchRequest,
    BudgetQuery,
    ContentQuery,
    HistoryQuery,
    ImageLinkView,
    PageQuery,
    ReceiptQuery,
    UploadSlotRequest,
)
from shared.domain.generations import GenerationRequest
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
    UploadSlotView,
)


@dataclass(frozen=True)
class Operation:
    """What one route takes and answers; `errors` are its statuses besides the common ones."""

    summary: str
    response: type[BaseModel] | None
    status: int = 200
    body: type[BaseModel] | None = None
    example: Mapping[str, Any] | None = None  # of the body
    query: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    idempotent: bool = False  # takes an Idempotency-Key
    other_bodies: tuple[str, ...] = ()
    other_responses: tuple[str, ...] = ()
    other_statuses: tuple[int, ...] = ()


_EXAMPLE: Final = {"model": "gpt-image-2", "prompt": "A lighthouse at dawn", "quality": "low"}
OPERATIONS: Final[Mapping[str, Operation]] = {
    names.SUBMIT_GENERATION: Operation(
        "Generate pictures", GenerationView, status=202, other_statuses=(200,),
        body=GenerationRequest, example=_EXAMPLE, errors=(402, 409, 413, 415, 422), idempotent=True,
    ),
    names.LIST_GENERATIONS: Operation(
        "List generations", GenerationList, query=HistoryQuery, errors=(422,)
    ),
    names.GET_GENERATION: Operation("Show a generation", GenerationView, errors=(404,)),
    names.CANCEL_GENERATION: Operation("Cancel a generation", GenerationView, errors=(404, 409)),
    names.GET_IMAGE: Operation("Describe a picture", ImageView, errors=(404,)),
    names.GET_IMAGE_CONTENT: Operation(
        "Fetch a picture", ImageLinkView, query=ContentQuery, errors=(404, 413, 422),
        other_responses=("image/png", "image/jpeg", "image/webp", "image/gif"),
    ),
    names.SUBMIT_BATCH: Operation(
        "Submit a batch", BatchView, status=202, body=BatchRequest,
        example={"items": [{"id": "scene-01", **_EXAMPLE}]},
        errors=(402, 409, 413, 415, 422), idempotent=True,
        other_bodies=("text/csv", "application/jsonl", "application/x-ndjson"),
    ),
    names.CREATE_UPLOAD_SLOT: Operation(
        "Ask for an upload link", UploadSlotView, status=201, body=UploadSlotRequest,
        example={"file_name": "storyboard.csv"},
        errors=(413, 415, 422),
    ),
    names.GET_UPLOAD_SLOT: Operation("Show an upload slot", UploadSlotView, errors=(404,)),
    names.GET_BATCH: Operation("Show a batch", BatchView, errors=(404,)),
    names.CANCEL_BATCH: Operation("Cancel a batch", BatchView, status=202, errors=(404, 409)),
    names.LIST_BATCH_ITEMS: Operation(
        "List the rows of a batch", BatchItemList, query=PageQuery, errors=(404, 422)
    ),
    names.GET_BATCH_RECEIPT: Operation(
        "Fetch the receipt", ReceiptView, query=ReceiptQuery, errors=(404, 409, 422),
        other_responses=("text/csv",),
    ),
    names.ESTIMATE: Operation(
        "Price a request", EstimateView, body=GenerationRequest, example=_EXAMPLE,
        errors=(413, 415, 422),
    ),
    names.LIST_MODELS: Operation("List models", ModelList),
    names.GET_BUDGET: Operation(
        "Show a budget", BudgetView, query=BudgetQuery, errors=(404, 422)
    ),
    names.HEALTH_LIVE: Operation("Is the worker alive", HealthView),
    names.HEALTH_READY: Operation("Can the worker work", HealthView, other_statuses=(503,)),
    names.OPENAPI: Operation("This document", None),
}  # fmt: skip
