"""A credential that is rotated, or that cannot be read."""

from dataclasses import dataclass, field

from shared.errors import EigError


@dataclass
class FakeSecret:
    """Implements Secret: `values` in order of their rotation, the first one in use."""

    values: list[str] = field(default_factory=lambda: ["first", "second"])
    error: EigError | None = None
    renewals: int = 0

    async def value(self) -> str:
        if self.error is not None:
            raise self.error
        return self.values[0]

    async def renewed(self, refused: str) -> str | None:
        self.renewals += 1
        if self.values[0] == refused and len(self.values) > 1:
            self.values.pop(0)
        return self.values[0] if self.values[0] != refused else None
