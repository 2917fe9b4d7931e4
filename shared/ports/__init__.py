"""What the services need from the outside world, named after the need and not after the system."""

from shared.domain.users import DirectoryUser
from shared.ports.budgets import POLICIES_PER_PAGE_MAX, BudgetPolicies
from shared.ports.clock import Clock
from shared.ports.files import BatchFiles, ImageBytes, ImageStore, Seal, UploadedFile, Uploads
from shared.ports.identity import Directory, TokenVerifier
from shared.ports.ledger import EVENTS_PER_APPEND_MAX, AuditLog, Ledger, Page, Records
from shared.ports.orchestrations import Orchestrations
from shared.ports.providers import ImageProvider, JobRecorder

__all__ = [
    "EVENTS_PER_APPEND_MAX",
    "POLICIES_PER_PAGE_MAX",
    "AuditLog",
    "BatchFiles",
    "BudgetPolicies",
    "Clock",
    "Directory",
    "DirectoryUser",
    "ImageBytes",
    "ImageProvider",
    "ImageStore",
    "JobRecorder",
    "Ledger",
    "Orchestrations",
    "Page",
    "Records",
    "Seal",
    "TokenVerifier",
    "UploadedFile",
    "Uploads",
]
