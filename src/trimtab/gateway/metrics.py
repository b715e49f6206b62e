"""Counters of the serving process, as Prometheus text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from trimtab.gateway.link import Link
from trimtab.gateway.shipping import Counts

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[tuple[str, str], ...]


class Requests:
    """Counts of one process; written by the event loop alone.

    Labels name models, versions and deployments, never tenants: the page is open.
    """

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self._seconds: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        self._rows: dict[Labels, int] = {}
        self._missing: dict[Labels, int] = {}

    def answered(self, status: int) -> None:
        """Count an answer."""
        self.by_status[status] = self.by_status.get(status, 0) + 1

    def inferred(self, labels: Labels, seconds: float, rows: int, missing: int) -> None:
        """Count an inference: how long the call took, its rows, and its missing values."""
        buckets = self._seconds.get(labels)
        if buckets is None:
            buckets = self._seconds[labels] = [0] * (len(_BOUNDS) + 1)
            self._sums[labels], self._rows[labels], self._missing[labels] = 0.0, 0, 0
        buckets[bisect_left(_BOUNDS, seconds)] += 1
        self._sums[labels] += seconds
        self._rows[labels] += rows
        self._missing[labels] += missing

    def text(self) -> Iterable[str]:
        """Lines of these counters."""
        by_status: dict[Labels, float] = {
            (("status", str(status)),): count for status, count in self.by_status.items()
        }
        yield from _family("requests_total", "counter", "Answers by HTTP status.", by_status)
        yield from _family("rows_total", "counter", "Rows that were answered.", self._rows)
        yield from _family(
            "missing_values_total", "counter", "Missing values among the inputs.", self._missing
        )
        name = "trimtab_gateway_inference_seconds"
        yield f"# HELP {name} From the whole request to the whole answer."
        yield f"# TYPE {name} histogram"
        for labels, buckets in self._seconds.items():
            so_far = 0
            for bound, count in zip((*map(str, _BOUNDS), "+Inf"), buckets, strict=True):
                so_far += count
                yield f"{name}_bucket{_labels((*labels, ('le', bound)))} {so_far}"
            yield f"{name}_sum{_labels(labels)} {self._sums[labels]:.9g}"
            yield f"{name}_count{_labels(labels)} {so_far}"


def page(requests: Requests, link: Link, counts: Counts) -> bytes:
    """The whole page."""
    lines = [*requests.text(), *_shipping(counts), *_routing(link)]
    return ("\n".join(lines) + "\n").encode()


def _shipping(counts: Counts) -> Iterable[str]:
    none: Labels = ()
    shed: dict[Labels, float] = {(("reason", r),): n for r, n in counts.shed.items()}
    yield from _family(
        "predictions_accepted_total", "counter", "Rows to ship.", {none: counts.accepted}
    )
    yield from _family(
        "predictions_shipped_total", "counter", "Rows acknowledged.", {none: counts.shipped}
    )
    yield from _family("predictions_shed_total", "counter", "Rows given up.", shed)
    yield from _family("predictions_buffered", "gauge", "Rows waiting.", {none: counts.buffered})


def _routing(link: Link) -> Iterable[str]:
    serving = link.serving
    none: Labels = ()
    if serving is not None:
        epoch, expired = serving.table.epoch, serving.time.expired()
        refused = len(serving.refused)
        yield from _family("routing_epoch", "gauge", "Epoch that is served.", {none: epoch})
        yield from _family("routing_expired", "gauge", "1: canaries at 0.", {none: int(expired)})
        yield from _family("versions_refused", "gauge", "Routed, not loaded.", {none: refused})
    reached = int(link.state.unreachable is None)
    yield from _family("control_reachable", "gauge", "The control plane answers.", {none: reached})


def _family(name: str, kind: str, meaning: str, values: Mapping[Labels, float]) -> Iterable[str]:
    full = f"trimtab_gateway_{name}"
    yield f"# HELP {full} {meaning}"
    yield f"# TYPE {full} {kind}"
    for labels, value in values.items():
        yield f"{full}{_labels(labels)} {value}"


def _labels(labels: Labels) -> str:
    # Names of models and versions hold no quotes or backslashes: the table's parser sees to it.
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""
