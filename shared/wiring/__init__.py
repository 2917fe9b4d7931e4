"""The composition root: settings become services. The only package that imports adapters, lazily.

`services()` builds everything once per worker on first use, so that the app can be indexed while
Cosmos DB is down; `install()` lets a test put its own services in place.
"""

import threading

from shared.wiring.accessing import Accessing
from shared.wiring.observing import Observing
from shared.wiring.outboxes import Outboxes
from shared.wiring.storing import Storing
from shared.wiring.witnessing import Witnessing


class Services(Observing, Outboxes, Storing, Accessing):
    """Every service of the app, each built when it is first asked for."""


_services: Services | None = None
_building = threading.Lock()  # plain functions run in threads beside the event loop
_witness: Witnessing | None = None  # in an app of its own
_is_witness_alone = False


def services() -> Services:
    """The worker's services, built on first use; raises InvariantBroken on unusable settings."""
    global _services  # noqa: PLW0603 - the one global of the app
    with _building:
        if _services is None:
            from shared.settings import load_settings

            _services = Services(load_settings())
        return _services


def install(replacement: Services | None) -> None:
    """Put other services in place, or None to build them anew from the environment."""
    global _services  # noqa: PLW0603 - as above
    _services = replacement


def witness_alone() -> None:
    """Say that this process is the witness's own app: the platform's settings are not there."""
    global _is_witness_alone  # noqa: PLW0603 - as above
    _is_witness_alone = True


def witnessing() -> Witnessing:
    """What the witness works with: the app's services, or in its own app what it was given."""
    global _witness  # noqa: PLW0603 - as above
    if not _is_witness_alone:
        return services()
    if _witness is None:
        from shared.witness_settings import load_witness_settings

        _witness = Witnessing(load_witness_settings())
    return _witness
