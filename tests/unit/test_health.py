from shared.services.health import Health


async def _answers() -> None:
    return None


async def _fails() -> None:
    raise OSError


async def test_ready_reports_what_is_stale_without_refusing_work() -> None:
    health = Health({"store": _answers}, {"exchange_rate": lambda: True, "other": lambda: False})
    view = await health.ready()
    assert view.status == "ok"
    assert view.checks == {"store": "ok", "exchange_rate": "stale", "other": "ok"}


async def test_ready_is_degraded_when_a_check_fails() -> None:
    view = await Health({"store": _answers, "other": _fails}, {}).ready()
    assert view.status == "degraded"
    assert view.checks == {"store": "ok", "other": "failed"}
