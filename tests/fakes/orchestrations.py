"""Durable work that only remembers what it was asked to start."""


class FakeOrchestrations:
    """Ids in the order of their start; the test says which still run."""

    def __init__(self) -> None:
        self.generations: list[str] = []
        self.batches: list[tuple[str, int]] = []
        self.running: set[str] = set()

    async def start_generation(self, generation_id: str) -> None:
        self.generations.append(generation_id)

    async def start_batch(self, batch_id: str, rows: int) -> None:
        self.batches.append((batch_id, rows))

    async def is_running(self, operation_id: str) -> bool:
        return operation_id in self.running
