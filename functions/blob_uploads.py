"""A file arrived in the upload container."""

import azure.durable_functions as df
import azure.functions as func

from functions import names
from functions.durable_client import DurableOrchestrations
from shared.telemetry import configure_logging, correlation_id
from shared.wiring import services

bp = df.Blueprint()


@bp.function_name(names.UPLOAD_ARRIVED)
@bp.blob_trigger(
    arg_name="blob",
    path=names.UPLOADS_PATH,
    connection=names.STORAGE_CONNECTION,
    source=func.BlobSource.EVENT_GRID,
)
@bp.durable_client_input(client_name="client")
async def upload_arrived(blob: func.InputStream, client: df.DurableOrchestrationClient) -> None:
    """Turn the file into a batch; the service reads it again itself, bounded."""
    configure_logging()
    _, _, path = (blob.name or "").partition("/")
    correlation = services().clock.new_id()
    correlation_id.set(correlation)
    await services().upload_slots.accept(path, correlation, DurableOrchestrations(client))
