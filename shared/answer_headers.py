"""Headers that a use case wants on the answer of the request that is being carried out.

They are true of a request whatever becomes of it: how the caller's rate limits stand, for instance.
"""

from collections.abc import Mapping
from contextvars import ContextVar

answer_headers: ContextVar[Mapping[str, str]] = ContextVar("eig_answer_headers")
