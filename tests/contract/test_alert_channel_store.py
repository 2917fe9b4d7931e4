"""The AlertChannelStore port: one suite on the fake and on the SDK."""

import asyncio
from dataclasses import replace

import pytest

from shared.domain.alert_channels import ORGANISATION_WIDE, channels_partition
from shared.errors import PreconditionFailed
from tests import builders
from tests.contract import alert_bench
from tests.contract.alert_bench import AlertBench

stores, bench = alert_bench.stores, alert_bench.bench  # fixtures, found by their names


async def test_channel_is_what_was_put_with_its_event(bench: AlertBench) -> None:
    channel, event = bench.channel(), builders.event("channel:a", "alert_channel.changed.1")
    await bench.channels.put(bench.policies, channel, event)
    assert await bench.channels.channel(bench.policies, channel.channel_id) == channel
    assert await bench.channels.channels(bench.policies) == [channel]
    assert await bench.has_event(event, bench.policies)


async def test_channel_that_was_never_put_is_none(bench: AlertBench) -> None:
    assert await bench.channels.channel(bench.policies, bench.channel_id()) is None
    assert await bench.channels.channels(bench.policies) == []


async def test_put_repeated_after_a_lost_answer_is_taken(bench: AlertBench) -> None:
    channel, event = bench.channel(), builders.event("channel:a", "alert_channel.changed.1")
    await bench.channels.put(bench.policies, channel, event)
    await bench.channels.put(bench.policies, channel, event)
    assert await bench.channels.channel(bench.policies, channel.channel_id) == channel


async def test_put_by_two_at_once_is_taken_from_one(bench: AlertBench) -> None:
    rivals = [bench.channel(change=f"c{n}") for n in range(8)]
    answers = await asyncio.gather(
        *(
            bench.channels.put(bench.policies, each, builders.event("channel:a", f"x.{n}"))
            for n, each in enumerate(rivals)
        ),
        return_exceptions=True,
    )
    assert sum(answer is None for answer in answers) == 1
    assert all(answer is None or isinstance(answer, PreconditionFailed) for answer in answers)
    standing = await bench.channels.channel(bench.policies, bench.channel_id())
    assert standing == rivals[answers.index(None)]


async def test_put_of_a_revision_that_does_not_follow_is_refused(bench: AlertBench) -> None:
    await bench.channels.put(bench.policies, bench.channel(), builders.event("a", "x.1"))
    skipped = bench.channel(revision=3, change="c3")
    with pytest.raises(PreconditionFailed):
        await bench.channels.put(bench.policies, skipped, builders.event("a", "x.3"))
    following = bench.channel(revision=2, change="c2")
    await bench.channels.put(bench.policies, following, builders.event("a", "x.2"))
    assert await bench.channels.channel(bench.policies, bench.channel_id()) == following


async def test_deleted_channel_is_remembered_and_not_listed(bench: AlertBench) -> None:
    await bench.channels.put(bench.policies, bench.channel("a"), builders.event("a", "x.1"))
    await bench.channels.put(bench.policies, bench.channel("b"), builders.event("b", "x.1"))
    gone = replace(bench.channel("a", 2, "c2"), deleted=True, secrets=(), url=None)
    await bench.channels.put(bench.policies, gone, builders.event("a", "x.2"))
    assert await bench.channels.channel(bench.policies, gone.channel_id) == gone
    assert await bench.channels.channels(bench.policies) == [bench.channel("b")]


async def test_channels_of_the_organisation_are_apart(bench: AlertBench) -> None:
    tenant = f"t-{bench.partition.department_id}"
    everywhere = channels_partition(ORGANISATION_WIDE, tenant)
    channel = replace(bench.channel(), channel_id=f"{ORGANISATION_WIDE}.hook")
    await bench.channels.put(everywhere, channel, builders.event("o", "x.1"))
    assert await bench.channels.channels(everywhere) == [channel]
    assert await bench.channels.channels(bench.policies) == []
