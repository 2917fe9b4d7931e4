"""Runs a compiled query over stored documents, one page at a time.

Three ways: a stream in storage order, a sort, and a full result (aggregates, GROUP BY, DISTINCT)
of which pages are slices. The first two resume after the last row they returned, so that rows
inserted or deleted between pages neither repeat nor hide others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from devhost.cosmos.aggregates import accumulator
from devhost.cosmos.continuation import Position
from devhost.cosmos.evaluator import (
    Evaluate,
    Row,
    check_parameters,
    compile_expression,
    is_true,
    whole_number,
)
from devhost.cosmos.query_parser import aggregates_in, parameters_in, parse_query
from devhost.cosmos.syntax import Aggregate, Expression, Query
from devhost.cosmos.values import UNDEFINED, SortKey, sort_key
from devhost.cosmos.wire_json import decode_stored, encode

COMPILED_MAX = 2048  # distinct query texts whose closures are kept
PAGE_BYTES_MAX = 4 * 1024 * 1024  # service limit for one answer

StoredRow = tuple[int, str]  # (sequence number, stored JSON), in the order of the former
RowsAfter = Callable[[int], Iterator[StoredRow]]


@dataclass(frozen=True)
class CompiledQuery:
    """A query and its closures."""

    query: Query
    where: Evaluate | None
    items: tuple[tuple[str, Evaluate], ...]
    order: tuple[Evaluate, ...]
    descending: tuple[bool, ...]
    group_by: tuple[Evaluate, ...]
    aggregates: tuple[tuple[Aggregate, Evaluate], ...]
    parameters: frozenset[str]

    def project(self, row: Row) -> Any:
        """The result for a row of kind "value" or "object"; may be UNDEFINED."""
        if self.query.kind != "object":
            return self.items[0][1](row)
        return {
            name: value
            for name, evaluate in self.items
            if (value := evaluate(row)) is not UNDEFINED
        }


@dataclass
class ResultPage:
    """Result rows as JSON texts; `position` says where the next page starts, None at the end."""

    items: list[str] = field(default_factory=list)
    position: Position | None = None
    scanned_bytes: int = 0
    returned_bytes: int = 0

    def add(self, text: str) -> None:
        self.items.append(text)
        self.returned_bytes += len(text)

    def is_full(self, max_items: int) -> bool:
        return len(self.items) >= max_items or self.returned_bytes >= PAGE_BYTES_MAX


@lru_cache(maxsize=COMPILED_MAX)
def compile_query(text: str) -> CompiledQuery:
    """Parses and compiles a SELECT; raises 400 or 501."""
    query = parse_query(text)
    expressions: list[Expression] = [item.expression for item in query.items]
    found = dict.fromkeys(node for each in expressions for node in aggregates_in(each))
    everything = [*expressions, *query.group_by]
    everything += [each for each in (query.where, query.top, query.offset, query.limit) if each]
    return CompiledQuery(
        query,
        compile_expression(query.where) if query.where is not None else None,
        tuple((item.name, compile_expression(item.expression)) for item in query.items),
        tuple(compile_expression(item.path) for item in query.order_by),
        tuple(item.descending for item in query.order_by),
        tuple(compile_expression(key) for key in query.group_by),
        tuple((node, compile_expression(node.argument)) for node in found),
        frozenset(name for each in everything for name in parameters_in(each)),
    )


class Execution:
    """One request for one page of one query."""

    def __init__(
        self,
        compiled: CompiledQuery,
        parameters: dict[str, Any],
        rows_after: RowsAfter,
        max_items: int,
    ) -> None:
        check_parameters(set(compiled.parameters), parameters)
        self._compiled = compiled
        self._parameters = parameters
        self._rows_after = rows_after
        self._max_items = max_items
        self._star = compiled.query.kind == "star"
        self._page = ResultPage()
        query = compiled.query
        self._offset = whole_number(query.offset, parameters) or 0
        top, limit = whole_number(query.top, parameters), whole_number(query.limit, parameters)
        self._limit = limit if top is None else top

    def run(self, position: Position | None) -> ResultPage:
        """The page that starts at `position`, or the first one."""
        compiled = self._compiled
        if self._limit == 0:
            return self._page
        if compiled.aggregates or compiled.group_by or compiled.query.distinct:
            self._slice(position or {"index": 0})
        elif compiled.order:
            self._sorted(position)
        else:
            self._stream(position)
        return self._page

    def _matches(self, after: int) -> Iterator[tuple[int, str, Row]]:
        """The rows for which the condition holds, in storage order."""
        where, parameters, page = self._compiled.where, self._parameters, self._page
        undecoded = self._star and where is None and not self._compiled.order
        for sequence, text in self._rows_after(after):
            page.scanned_bytes += len(text)
            row = Row(None if undecoded else decode_stored(text), parameters)
            if is_true(where, row):
                yield sequence, text, row

    def _result(self, text: str, row: Row) -> str | None:
        if self._star:
            return text
        value = self._compiled.project(row)
        return None if value is UNDEFINED else encode(value)

    def _stream(self, position: Position | None) -> None:
        start = position or {"after": -1, "emitted": 0}
        emitted, skip = start["emitted"], 0 if position else self._offset
        last = start["after"]
        for sequence, text, row in self._matches(last):
            result = self._result(text, row)
            if result is None:
                continue
            if skip:
                skip -= 1
                continue
            if self._page.is_full(self._max_items):
                self._page.position = {"after": last, "emitted": emitted}
                return
            self._page.add(result)
            last, emitted = sequence, emitted + 1
            if emitted == self._limit:
                return

    def _entries(self) -> list[tuple[tuple[SortKey, ...], int, str, Row]]:
        """All matching rows in the order that ORDER BY asks for; ties in storage order."""
        order = self._compiled.order
        entries = [
            (tuple(sort_key(evaluate(row)) for evaluate in order), sequence, text, row)
            for sequence, text, row in self._matches(-1)
        ]
        for index in reversed(range(len(order))):
            entries.sort(
                key=lambda entry: entry[0][index],
                reverse=self._compiled.descending[index],
            )
        return entries

    def _sorted(self, position: Position | None) -> None:
        emitted = position["emitted"] if position else 0
        skip = 0 if position else self._offset
        last: tuple[tuple[SortKey, ...], int] | None = None
        if position:
            last = (tuple((kind, key) for kind, key in position["keys"]), position["after"])
        for keys, sequence, text, row in self._entries():
            if last is not None and not self._is_after(keys, sequence, last):
                continue
            result = self._result(text, row)
            if result is None:
                continue
            if skip:
                skip -= 1
                continue
            if self._page.is_full(self._max_items):
                assert last is not None
                self._page.position = {"keys": last[0], "after": last[1], "emitted": emitted}
                return
            self._page.add(result)
            last, emitted = (keys, sequence), emitted + 1
            if emitted == self._limit:
                return

    def _is_after(
        self, keys: tuple[SortKey, ...], sequence: int, last: tuple[tuple[SortKey, ...], int]
    ) -> bool:
        for key, last_key, descending in zip(keys, last[0], self._compiled.descending, strict=True):
            if key != last_key:
                return key < last_key if descending else key > last_key
        return sequence > last[1]

    def _slice(self, position: Position) -> None:
        end = None if self._limit is None else self._offset + self._limit
        results = self._full_result()[self._offset : end]
        index: int = position["index"]
        for result in results[index:]:
            if self._page.is_full(self._max_items):
                self._page.position = {"index": index}
                return
            self._page.add(result)
            index += 1

    def _full_result(self) -> list[str]:
        if self._compiled.aggregates or self._compiled.group_by:
            values = [self._compiled.project(row) for row in self._groups()]
            results = [encode(value) for value in values if value is not UNDEFINED]
        else:
            candidates = (self._result(text, row) for _, _, text, row in self._entries())
            results = [result for result in candidates if result is not None]
        return list(dict.fromkeys(results)) if self._compiled.query.distinct else results

    def _groups(self) -> list[Row]:
        """One row per group, with the results of its aggregates."""
        compiled = self._compiled
        groups: dict[tuple[SortKey, ...], tuple[Row, list[Any]]] = {}

        def new_group(row: Row) -> tuple[Row, list[Any]]:
            return row, [accumulator(node.name) for node, _ in compiled.aggregates]

        for _, _, row in self._matches(-1):
            key = tuple(sort_key(evaluate(row)) for evaluate in compiled.group_by)
            if key not in groups:
                groups[key] = new_group(row)
            for (_, argument), accumulated in zip(compiled.aggregates, groups[key][1], strict=True):
                value = argument(row)
                if value is not UNDEFINED:
                    accumulated.add(value)
        if not groups and not compiled.group_by:
            groups[()] = new_group(Row({}, self._parameters))
        for row, accumulators in groups.values():
            row.aggregates = {
                node: accumulated.result()
                for (node, _), accumulated in zip(compiled.aggregates, accumulators, strict=True)
            }
        return [row for row, _ in groups.values()]
