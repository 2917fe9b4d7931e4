"""Ids of the orchestrations that watch over waiting work, beside the one that will carry it out."""


def approval_instance_id(operation_id: str) -> str:
    """The instance that watches over an approval."""
    return f"approval:{operation_id}"


def deferred_instance_id(operation_id: str) -> str:
    """The instance that waits for the period of deferred work."""
    return f"deferred:{operation_id}"
