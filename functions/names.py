"""Every function, container and schedule name. An unknown activity name waits forever: no typos."""

from typing import Final

# HTTP
SUBMIT_GENERATION: Final = "SubmitGeneration"
GET_GENERATION: Final = "GetGeneration"
LIST_GENERATIONS: Final = "ListGenerations"
CANCEL_GENERATION: Final = "CancelGeneration"
GET_IMAGE: Final = "GetImage"
GET_IMAGE_CONTENT: Final = "GetImageContent"
SUBMIT_BATCH: Final = "SubmitBatch"
GET_BATCH: Final = "GetBatch"
LIST_BATCH_ITEMS: Final = "ListBatchItems"
GET_BATCH_RECEIPT: Final = "GetBatchReceipt"
CANCEL_BATCH: Final = "CancelBatch"
CREATE_UPLOAD_SLOT: Final = "CreateUploadSlot"
GET_UPLOAD_SLOT: Final = "GetUploadSlot"
ESTIMATE: Final = "Estimate"
LIST_MODELS: Final = "ListModels"
GET_BUDGET: Final = "GetBudget"
HEALTH_LIVE: Final = "HealthLive"
HEALTH_READY: Final = "HealthReady"
OPENAPI: Final = "OpenApi"

# Durable
GENERATION_ORCHESTRATOR: Final = "GenerationOrchestrator"
BATCH_ORCHESTRATOR: Final = "BatchOrchestrator"
CHUNK_ORCHESTRATOR: Final = "ChunkOrchestrator"
ATTEMPT_ACTIVITY: Final = "AttemptActivity"
SETTLE_ACTIVITY: Final = "SettleActivity"
OPEN_CHUNK_ACTIVITY: Final = "OpenChunkActivity"
FINISH_BATCH_ACTIVITY: Final = "FinishBatchActivity"

# Blob
UPLOAD_ARRIVED: Final = "UploadArrived"
UPLOADS_PATH: Final = "uploads/{slot}/{name}"
STORAGE_CONNECTION: Final = "EIG_STORAGE"

# Timers (six-field NCRONTAB, UTC)
LEDGER_SWEEP: Final = "LedgerSweep"
LEDGER_SWEEP_SCHEDULE: Final = "0 * * * * *"
AUDIT_RELAY: Final = "AuditRelay"
AUDIT_RELAY_SCHEDULE: Final = "*/15 * * * * *"
