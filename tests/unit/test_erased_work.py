"""Work whose prompt was erased before it began ends without a call to a provider."""

from dataclasses import replace

from shared.domain.sealed_fields import ERASED
from tests import builders
from tests.unit.test_attempts import Bench


def erase(bench: Bench) -> None:
    erased = builders.request(prompt="x").model_copy(update={"prompt": ERASED})
    bench.work = replace(bench.work, request=erased)


async def test_erased_work_is_canceled_and_no_provider_is_called() -> None:
    bench = Bench()
    erase(bench)
    report = await bench.run()
    assert (report.ending, report.usd_micros) == ("canceled", 0)
    assert bench.calls == 0
    assert bench.marker()["owner"] == "canceller"
    assert (await bench.run()).ending == "canceled"  # a second delivery


async def test_work_that_was_delivered_before_its_erasure_keeps_its_pictures() -> None:
    bench = Bench()
    paid = await bench.run()
    erase(bench)
    report = await bench.run()
    assert report == paid
    assert report.ending == "delivered"
    assert bench.calls == 1
