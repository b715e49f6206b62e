"""Batches arrive -> kept; what comes after its window was judged re-opens it, or is told.

Kept and counted in one transaction: what is acknowledged is durable, and so is that it was
late. The window is judged again by the watch loop, once for everything that came until then.
"""

from __future__ import annotations

from functools import partial

from prometheus_client import Counter

from trimtab.audit.work import Reading, Work
from trimtab.kernel.actor import Actor
from trimtab.kernel.clock import iso
from trimtab.monitoring import late_store
from trimtab.monitoring.late import Counted, What
from trimtab.monitoring.model import Window
from trimtab.observations import batches
from trimtab.observations import store as observations
from trimtab.observations.batches import Parsed
from trimtab.observations.store import Delivery, Receipt
from trimtab.policies.operation import Monitoring
from trimtab.registry import store
from trimtab.workflows.parts import Parts, policy_of

_TABLES = {What.PREDICTIONS: observations.PREDICTIONS, What.LABELS: observations.LABELS}

_MOMENTS = {
    What.PREDICTIONS: batches.moments_of_predictions,
    What.LABELS: batches.moments_of_labels,
}


def keep(parts: Parts, actor: Actor, what: What, batch_id: str, batch: Parsed) -> Receipt:
    """Keep a batch of predictions or labels; a repeated one is counted once.

    Raises:
        NotFound: there is no such model.
        Conflict: the id stands for other content.
    """
    counted = Counted()
    delivery = Delivery(_TABLES[what], batch_id, batch)
    with parts.records.begin(actor, reason=what.value, before=delivery.bring) as work:
        model = store.model_named(work, batch.model)
        receipt = delivery.keep(work)
        if not receipt.duplicate:
            demands = policy_of(parts, model)[0].monitoring
            counted = late_store.note(
                work,
                model.name,
                what,
                (batch.first_at, batch.last_at),
                partial(_MOMENTS[what], batch.body),
                demands,
            )
    if not receipt.duplicate:
        _taken_in(parts, what).labels(model.name).inc(receipt.rows)
    _tell(parts, batch.model, what, counted)
    return receipt


def sent(reading: Reading, window: Window, what: What) -> int:
    """Rows of the batches that may hold rows of a window."""
    return observations.count_between(
        reading, _TABLES[what], window.model, window.start, window.end
    )


def note_since(
    parts: Parts, work: Work, window: Window, what: What, seen: int, demands: Monitoring
) -> None:
    """Count what came between the look at a window, which saw `seen` rows, and this
    transaction, which writes down what was found: nobody else knows that it is late."""
    rows = sent(work, window, what) - seen
    if rows:
        late_store.note_unseen(work, window, what, rows, demands)
        _tell(parts, window.model, what, Counted(late=rows))


def due(reading: Reading) -> list[tuple[str, str]]:
    """Windows that are to be judged again now. One more batch gives another mark, so that a
    window whose turn has failed for good gets another one."""
    return [
        (found.window, f"{found.came}:{iso(found.due_at)}")
        for found in late_store.due(reading, reading.now)
        if found.due_at is not None
    ]


def _taken_in(parts: Parts, what: What) -> Counter:
    return parts.metrics.predictions if what is What.PREDICTIONS else parts.metrics.labels


def _tell(parts: Parts, model: str, what: What, counted: Counted) -> None:
    for outcome, rows in (("late", counted.late), ("too_late", counted.too_late)):
        if rows:
            parts.metrics.late_rows.labels(model, what.value, outcome).inc(rows)
