"""Generations, pictures, batches, prices: what each route takes and answers."""

from collections.abc import Mapping
from typing import Final

from functions import names
from functions.http_estimates_models import EstimateBody
from functions.http_models import (
    BatchQuery,
    BatchRequest,
    ChargeQuery,
    ContentQuery,
    GenerationBody,
    HistoryQuery,
    ImageLinkView,
    PageQuery,
    ReceiptQuery,
    UploadSlotRequest,
)
from functions.http_operation import Operation
from functions.http_storage_models import (
    HoldRequest,
    RehydrationRequest,
    RetentionRequest,
)
from shared.domain.estimate_views import EstimateAnswer, ModelList
from shared.domain.key_views import KeySetView
from shared.domain.provider_views import ProviderList
from shared.domain.receipt_views import ReceiptView
from shared.domain.storage_views import (
    ImageDetailView,
    LegalHoldView,
    RehydrationView,
    RetentionView,
)
from shared.domain.views import (
    BatchItemList,
    BatchView,
    GenerationList,
    GenerationView,
    UploadSlotView,
)

_EXAMPLE: Final = {"model": "gpt-image-2", "prompt": "A lighthouse at dawn", "quality": "low"}
GENERATION_OPERATIONS: Final[Mapping[str, Operation]] = {
    names.SUBMIT_GENERATION: Operation(
        "Generate pictures", GenerationView, status=202, other_statuses=(200,),
        body=GenerationBody, example=_EXAMPLE, idempotent=True,
        errors=(402, 409, 413, 415, 422, 429),
    ),
    names.LIST_GENERATIONS: Operation(
        "List generations", GenerationList, query=HistoryQuery, errors=(422,)
    ),
    names.GET_GENERATION: Operation("Show a generation", GenerationView, errors=(404,)),
    names.CANCEL_GENERATION: Operation("Cancel a generation", GenerationView, errors=(404, 409)),
    names.GET_IMAGE: Operation("Describe a picture", ImageDetailView, errors=(404,)),
    names.GET_IMAGE_CONTENT: Operation(
        "Fetch a picture", ImageLinkView, query=ContentQuery, errors=(404, 409, 413, 422),
        other_responses=("image/png", "image/jpeg", "image/webp", "image/gif"),
    ),
    names.GET_IMAGE_THUMBNAIL: Operation(
        "Fetch a picture's thumbnail", None, errors=(404, 409), other_responses=("image/webp",),
    ),
    names.REHYDRATE_IMAGE: Operation(
        "Bring a picture back from the archive", RehydrationView, status=202,
        body=RehydrationRequest, example={"priority": "high"},
        errors=(402, 404, 409, 413, 415, 422, 423),
    ),
    names.HOLD_IMAGE: Operation(
        "Hold a picture", LegalHoldView, body=HoldRequest,
        example={"reason": "Matter 2026-117"}, errors=(404, 409, 413, 415, 422),
    ),
    names.RELEASE_IMAGE: Operation(
        "Release a held picture", LegalHoldView, body=HoldRequest,
        example={"reason": "Matter 2026-117 is closed"}, errors=(404, 409, 413, 415, 422),
    ),
    names.GET_RETENTION: Operation(
        "Show how long a department keeps its pictures", RetentionView, errors=(404,)
    ),
    names.PUT_RETENTION: Operation(
        "Change how long the pictures to come are kept", RetentionView, body=RetentionRequest,
        example={"retention": "one-year", "reason": "Campaign material"},
        errors=(404, 412, 413, 415, 422, 428), conditional=True,
    ),
    names.SUBMIT_BATCH: Operation(
        "Submit a batch", BatchView, status=202, body=BatchRequest, query=BatchQuery,
        example={"items": [{"id": "scene-01", **_EXAMPLE}]},
        errors=(402, 409, 413, 415, 422, 429), idempotent=True,
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
        other_responses=("text/csv", "application/jose"),
    ),
    names.LIST_KEYS: Operation("List the keys that receipts are signed with", KeySetView),
    names.ESTIMATE: Operation(
        "Price a request, compare models or dry-run a file", EstimateAnswer,
        body=EstimateBody, query=ChargeQuery, example=_EXAMPLE, errors=(404, 413, 415, 422),
        other_bodies=("text/csv", "application/jsonl", "application/x-ndjson"),
    ),
    names.LIST_MODELS: Operation("List models", ModelList),
    names.LIST_PROVIDERS: Operation("Show how providers are", ProviderList),
}  # fmt: skip
