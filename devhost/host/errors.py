"""Errors that end the start of the host, each with a sentence for the person who started it."""


class HostStartError(RuntimeError):
    """The host cannot start; the text says why and what to do."""


class FunctionLoadError(HostStartError):
    """A function of the app cannot be loaded: Azure would refuse it at indexing too."""

    def __init__(self, function_name: str, reason: str) -> None:
        super().__init__(f"cannot load the {function_name} function: {reason}")
