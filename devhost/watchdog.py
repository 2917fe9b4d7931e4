"""Ends the stack's processes when their parent dies without doing so (`kill -9`, out of memory).

It reads `+PID` and `-PID` lines on stdin, each a process group that starts or has ended. The end of
stdin means that the parent is gone, whatever killed it: what still runs is asked to stop, then made
to. It works on every POSIX system and reaches the children's own children.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable

GRACE_S = 8.0  # Azurite writes its metadata to disk in this time
POLL_S = 0.1


def watch(lines: Iterable[str]) -> None:
    """Follows the lines to their end, then ends every group that is left."""
    groups: set[int] = set()
    for line in lines:
        pid = int(line[1:])
        if line.startswith("+"):
            groups.add(pid)
        else:
            groups.discard(pid)
    _end(groups)


def _end(groups: set[int]) -> None:
    left = {group for group in groups if _signal(group, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE_S
    while left and time.monotonic() < deadline:
        time.sleep(POLL_S)
        left = {group for group in left if _signal(group, 0)}
    for group in left:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Sends a signal to a process group; False when there is none any more."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # only the end of the parent ends the watch
    watch(sys.stdin)
