"""Notices of every kind: what channels can be told of, and where each kind lies."""

from collections.abc import Mapping
from typing import Any

from shared.domain.alerts import Alert, read_alert
from shared.domain.ids import Partition, partition_of
from shared.domain.image_notices import (
    RehydrationNotice,
    partition_of_image_notice,
    read_image_notice,
)
from shared.domain.provider_notices import (
    ProviderNotice,
    partition_of_provider_notice,
    read_provider_notice,
)

AnyNotice = Alert | RehydrationNotice | ProviderNotice


def read_notice(document: Mapping[str, Any]) -> AnyNotice:
    """A stored notice; one that does not say its kind is a budget alert."""
    return read_image_notice(document) or read_provider_notice(document) or read_alert(document)


def partition_of_notice(notice_id: str) -> Partition | None:
    """Where a notice lies: a budget alert in its period, others where they were made."""
    return (
        partition_of_image_notice(notice_id)
        or partition_of_provider_notice(notice_id)
        or partition_of(notice_id)
    )
