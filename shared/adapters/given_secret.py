"""A credential that stands in a setting: for development, where no vault is."""


class GivenSecret:
    """Implements the Secret port; its value never changes."""

    def __init__(self, value: str) -> None:
        self._value = value

    async def value(self) -> str:
        return self._value

    async def renewed(self, refused: str) -> str | None:
        return self._value if self._value != refused else None
