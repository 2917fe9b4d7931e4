"""How far a batch is: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from devhost.demo.money import aud

LOG_STEP = 0.2  # a log gets a line for each fifth of the rows


class Reporter(Protocol):
    """Takes the batch as the API shows it, again and again."""

    def show(self, batch: Mapping[str, Any]) -> None: ...


@contextmanager
def batch_progress(console: Console) -> Iterator[Reporter]:
    """A reporter that suits the console."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=40),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress)


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("batch", total=1.0, figures="")

    def show(self, batch: Mapping[str, Any]) -> None:
        self._progress.update(self._task, completed=batch["progress"], figures=figures(batch))


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def show(self, batch: Mapping[str, Any]) -> None:
        if batch["progress"] < self._next:
            return
        self._next = batch["progress"] + LOG_STEP if batch["progress"] < 1 else 2.0
        self._console.print(f"  {batch['progress']:>4.0%}  {figures(batch)}", highlight=False)


def figures(batch: Mapping[str, Any]) -> str:
    """Images done, cost so far and failures, in one line."""
    rows = batch["rows"]
    failures = rows["refused"] + rows["failed"] + rows["canceled"] + rows["indeterminate"]
    return (
        f"{batch['images']} images, {aud(batch['spent_micros'])} so far,"
        f" {failures} refused or failed"
    )
