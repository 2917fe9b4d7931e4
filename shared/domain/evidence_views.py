"""What the API shows of the audit log, and the receipt that proves a generation."""

from typing import Literal

from pydantic import Field

from shared.domain.views import CostView, View


class AuditKeysView(View):
    """The keys that checkpoints are checked with, each on one line (C2SP signed notes)."""

    log: str = Field(examples=["eig.example/audit-log+9f2ab81c+AjBZMBM..."])
    witness: str


class AuditEntryView(View):
    """One event as it stands in the log, with its proof."""

    event_id: str
    partition: str
    index: int = Field(description="its place in the log, from 0")
    entry: str = Field(description="the logged bytes: canonical JSON (RFC 8785)")
    leaf_hash: str = Field(description="SHA-256 of a zero byte and the entry, hex")
    proof: str = Field(description="c2sp.org/tlog-proof@v1: inclusion proof with its checkpoint")


class ConsistencyView(View):
    """The proof that the log of one size begins with the log of a smaller one."""

    old_size: int
    new_size: int
    hashes: tuple[str, ...] = Field(description="RFC 6962, 2.1.2; base64")
    checkpoint: str = Field(description="a signed one; it proves `new_size` if that is its size")


class EvidenceImageView(View):
    """One picture, named by the hash of its bytes."""

    index: int
    sha256: str
    size_bytes: int
    content_type: str


class PromptCommitmentView(View):
    """What binds the prompt without showing it; the salt opens it for whoever has the prompt."""

    algorithm: Literal["hmac-sha256"] = "hmac-sha256"
    commitment: str
    salt: str | None = Field(description="none once it was erased with the prompt")


class ApproverView(View):
    """Somebody who let the work pass a limit."""

    actor: str
    role: str
    at: str


class LoggedEventView(View):
    """A logged event and its proof."""

    entry: str
    index: int
    proof: str


class EvidenceView(View):
    """The receipt of a generation; whatever it says follows from the logged events in it."""

    format: Literal["eig-evidence/1"] = "eig-evidence/1"
    generation_id: str
    status: str
    model: str
    provider: str
    provider_request_id: str | None
    provider_job_id: str | None
    images: tuple[EvidenceImageView, ...]
    prompt: PromptCommitmentView | None = Field(description="none for work of older versions")
    price_version: str
    exchange_rate_version: str
    cost: CostView
    approvers: tuple[ApproverView, ...]
    events: tuple[LoggedEventView, ...] = Field(description="the decisions, oldest first")
    checkpoint: str = Field(description="signed by the log, and by its witness")
