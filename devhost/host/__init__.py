"""The local Azure Functions host: a real `function_app.py`, its state in one SQLite file."""

from devhost.host.runtime import HostHandle, start_host

__all__ = ["HostHandle", "start_host"]
