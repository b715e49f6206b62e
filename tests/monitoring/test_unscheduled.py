"""Which models need a window, asked of all of them at once."""

from datetime import UTC, datetime, timedelta

from tests.registering import registered

from trimtab.audit.work import Records
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.ids import TenantId, WindowId, new_id
from trimtab.monitoring import store
from trimtab.monitoring.model import Phase, Window
from trimtab.observations.batches import Parsed
from trimtab.observations.store import PREDICTIONS, Delivery
from trimtab.platform.database import Database

SOMEBODY = system("test")
DAY = timedelta(days=1)


def test_models_that_predict_and_have_no_window_that_goes_on(
    either_database: Database, clock: SteppedClock
) -> None:
    records = Records(either_database, clock)
    start = clock.now()
    for name in ("ahead", "over", "predicts", "silent", "tenants-only"):
        _model(records, name)
    for name in ("ahead", "over", "predicts", "tenants-only"):
        _predictions(records, name, start)
    _window(records, "over", None, start)
    _window(records, "ahead", None, start)
    _window(records, "ahead", None, start + DAY)
    _window(records, "tenants-only", TenantId("aa"), start + DAY)

    assert _unscheduled(records) == ["predicts", "tenants-only"]
    clock.step_to(start + DAY - timedelta(microseconds=1))
    assert _unscheduled(records) == ["predicts", "tenants-only"]
    clock.step_to(start + DAY)
    assert _unscheduled(records) == ["over", "predicts", "tenants-only"]
    clock.step_to(datetime(2030, 1, 1, tzinfo=UTC))
    assert _unscheduled(records) == ["ahead", "over", "predicts", "tenants-only"]


def _unscheduled(records: Records) -> list[str]:
    with records.look() as reading:
        return store.unscheduled(reading)


def _model(records: Records, name: str) -> None:
    with records.begin(SOMEBODY, reason="r") as work:
        registered(work, name)


def _predictions(records: Records, model: str, at: datetime) -> None:
    one = Delivery(PREDICTIONS, f"batch-{model}", Parsed(model, 1, at, at, b"arrow"))
    with records.begin(SOMEBODY, reason="r", before=one.bring) as work:
        one.keep(work)


def _window(records: Records, model: str, tenant: TenantId | None, start: datetime) -> None:
    end = start + DAY
    window = Window(WindowId(new_id("win")), model, tenant, start, end, Phase.SCHEDULED, end)
    with records.begin(SOMEBODY, reason="r") as work:
        store.add(work, window, window.scheduled())
