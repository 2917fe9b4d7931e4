"""Durable work that only remembers what it was asked to start."""


class FakeOrchestrations:
    """Ids in the order of their start; the test says which still run."""

    def __init__(self) -> None:
        self.generations: list[str] = []
        self.batches: list[tuple[str, int]] = []
        self.approvals: list[str] = []
        self.decided: list[str] = []
        self.deferred: list[tuple[str, str]] = []
        self.running: set[str] = set()

    async def start_generation(self, generation_id: str) -> None:
        self.generations.append(generation_id)

    async def start_batch(self, batch_id: str, rows: int, deadline_rows: int = 0) -> None:
        self.batches.append((batch_id, rows))

    async def start_approval(self, operation_id: str, escalates_at: str, expires_at: str) -> None:
        self.approvals.append(operation_id)

    async def approval_decided(self, operation_id: str) -> None:
        self.decided.append(operation_id)

    async def start_deferred(self, operation_id: str, due: str) -> None:
        self.deferred.append((operation_id, due))

    async def is_running(self, operation_id: str) -> bool:
        return operation_id in self.running
