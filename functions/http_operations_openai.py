"""OpenAI's image API: what each route takes and answers."""

from collections.abc import Mapping
from typing import Final

from functions import names
from functions.http_operation import Operation
from shared.domain.openai_images import (
    OpenAIError,
    OpenAIImageRequest,
    OpenAIImageResponse,
    OpenAIModel,
    OpenAIModelList,
)

OPENAI_OPERATIONS: Final[Mapping[str, Operation]] = {
    names.OPENAI_GENERATE: Operation(
        "Generate pictures for a client of OpenAI", OpenAIImageResponse, body=OpenAIImageRequest,
        example={"model": "gpt-image-2", "prompt": "A lighthouse at dawn", "quality": "low"},
        errors=(400, 404, 413, 429, 504), idempotent=True, error=OpenAIError,
    ),
    names.OPENAI_LIST_MODELS: Operation(
        "List models for a client of OpenAI", OpenAIModelList, error=OpenAIError
    ),
    names.OPENAI_GET_MODEL: Operation(
        "Show a model to a client of OpenAI", OpenAIModel, errors=(404,), error=OpenAIError
    ),
}  # fmt: skip
