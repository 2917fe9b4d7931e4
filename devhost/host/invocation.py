"""Calls one function of the app the way the Python worker does."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import azure.functions as func

from devhost.host.errors import HostStartError
from devhost.host.loading import LoadedFunction
from devhost.host.parameter_checks import IMPLICIT_OUTPUT_TYPES

THREADS_ENV = "PYTHON_THREADPOOL_THREAD_COUNT"
THREADS_MAX = 32  # the worker's own ceiling when the setting is absent


class FunctionTimeoutError(Exception):
    """The function ran longer than host.json's functionTimeout."""


class TraceContext:
    """The (empty) distributed trace of a local invocation."""

    trace_parent = ""
    trace_state = ""
    attributes: dict[str, str] = {}  # noqa: RUF012 - read-only shape of the worker's class


class RetryContext:
    """No retry policies locally, so every invocation is the first."""

    retry_count = 0
    max_retry_count = 0
    exception = None


class InvocationContext(func.Context):
    """What a function sees as `context: func.Context`."""

    def __init__(self, function: LoadedFunction) -> None:
        self._function = function
        self._invocation_id = str(uuid.uuid4())
        self._local = threading.local()
        self._local.invocation_id = self._invocation_id

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def thread_local_storage(self) -> Any:
        return self._local

    @property
    def function_name(self) -> str:
        return self._function.name

    @property
    def function_directory(self) -> str:
        return self._function.directory

    @property
    def trace_context(self) -> Any:
        return TraceContext

    @property
    def retry_context(self) -> Any:
        return RetryContext


class OutValue(func.Out[Any]):
    """The value a function sets on an output parameter."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return self._value


class FunctionRunner:
    """Runs the app's functions: async ones on the loop, sync ones in the worker's thread pool."""

    def __init__(self, timeout_s: float | None, durable_client: DurableClientText) -> None:
        self._timeout_s = timeout_s
        self._durable_client = durable_client
        self._threads = ThreadPoolExecutor(_thread_count(), thread_name_prefix="function")
        self.invocations: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    async def run(self, function: LoadedFunction, values: dict[str, Any]) -> Any:
        """Calls the function with decoded trigger values and returns its (HTTP or plain) result.

        `values` is keyed by parameter name; client, context and out parameters are added here.
        Raises what the function raises, or FunctionTimeoutError.
        """
        outputs = {name: OutValue() for name in function.plan.outputs}
        arguments = {**values, **outputs, **self._client_arguments(function)}
        if function.plan.requires_context:
            arguments["context"] = InvocationContext(function)
        self.invocations[function.name] += 1
        try:
            result = await self._call(function, arguments)
            _check_result(function, result)
        except Exception:
            self.failures[function.name] += 1
            raise
        for output in outputs.values():
            if output.get() is not None:
                return output.get()
        return result

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _client_arguments(self, function: LoadedFunction) -> dict[str, str]:
        return {
            str(binding["name"]): self._durable_client.text
            for binding in function.bindings
            if binding["type"] == "durableClient"
        }

    async def _call(self, function: LoadedFunction, arguments: dict[str, Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:
                if function.is_async:
                    return await function.code(**arguments)
                call = functools.partial(
                    contextvars.copy_context().run, functools.partial(function.code, **arguments)
                )
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise FunctionTimeoutError(
                f"Timeout value of {self._timeout_s} s was exceeded by function: "
                f"Functions.{function.name}"
            ) from error


class DurableClientText:
    """The durable client binding's JSON text; it names the port, so it is set after the bind."""

    def __init__(self) -> None:
        self.text = ""


def _check_result(function: LoadedFunction, result: Any) -> None:
    explicit = function.plan.has_return_binding
    if result is None or explicit or function.trigger_type in IMPLICIT_OUTPUT_TYPES:
        return
    raise RuntimeError(
        f"function {function.name!r} without a $return binding returned a non-None value"
    )


def _thread_count() -> int:
    text = os.environ.get(THREADS_ENV)
    if text is None:
        return min(THREADS_MAX, (os.cpu_count() or 1) + 4)
    if not text.isdigit() or int(text) < 1:
        raise HostStartError(f"{THREADS_ENV}='{text}' is not a positive integer.")
    return int(text)
