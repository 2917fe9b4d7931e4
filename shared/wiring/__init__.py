"""The composition root: settings become services. The only package that imports adapters, lazily.

`services()` builds everything once per worker on first use, so that the app can be indexed while
Cosmos DB is down; `install()` lets a test put its own services in place.
"""

from shared.wiring.evidence import Evidencing
from shared.wiring.observing import Observing
from shared.wiring.storing import Storing


class Services(Observing, Evidencing, Storing):
    """Every service of the app, each built when it is first asked for."""


_services: Services | None = None


def services() -> Services:
    """The worker's services, built on first use; raises InvariantBroken on unusable settings."""
    global _services  # noqa: PLW0603 - the one global of the app
    if _services is None:
        from shared.settings import load_settings

        _services = Services(load_settings())
    return _services


def install(replacement: Services | None) -> None:
    """Put other services in place, or None to build them anew from the environment."""
    global _services  # noqa: PLW0603 - as above
    _services = replacement
