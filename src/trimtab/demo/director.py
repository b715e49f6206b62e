"""Day after day: traffic, labels, faults and clicks, all through public interfaces.

The director makes things happen and looks at nothing but what the interface says. What it
tells is read back from the records.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

import httpx

from trimtab.demo import data
from trimtab.demo.candidates import FLIGHTS, HOMES, hand_in_flights, hand_in_homes
from trimtab.demo.cast import Cast
from trimtab.demo.endpoints import Asked, Endpoints
from trimtab.demo.story import Story
from trimtab.kernel.errors import Unavailable
from trimtab.observations.batches import labels_batch
from trimtab.recipes.gradient_boosting import Hyperparameters

INGESTING_SECONDS = 30.0


@dataclass
class Counts:
    """What went through so far, in rows."""

    predictions: int = 0
    labels: int = 0
    unanswered: int = 0


@dataclass
class Director:
    """Plays a story, one day at a time."""

    story: Story
    cast: Cast
    endpoints: Endpoints
    gateway: str
    gateway_key: str
    told: Callable[[str], None] = field(default=lambda _line: None)
    counts: Counts = field(default_factory=Counts)
    _waiting: deque[tuple[datetime, str, str, Asked]] = field(default_factory=deque)

    def play(self) -> Iterator[date]:
        """Play all days; yields each when it is over."""
        day = self.story.first_day
        while day <= self.story.last_day:
            self.step(_moment(day))
            self._hand_in(day)
            self.click()
            self._traffic(day)
            self._labels_of(day)
            yield day
            day += timedelta(days=1)
        self.step(_moment(day))
        self.click()

    def step(self, to: datetime) -> None:
        """Send labels that are known by then, and move the clock."""
        while self._waiting and self._waiting[0][0] <= to:
            known_at, model, batch, asked = self._waiting.popleft()
            self.cast.admin.clock.step(known_at)
            body = labels_batch(asked.ids, asked.rows, asked.labels)
            self.counts.labels += self.cast.feed.send_labels(model, batch, body).rows
        self.cast.admin.clock.step(to)

    def click(self) -> None:
        """Everybody who has to sign looks at what waits, and signs."""
        for approval in list(self.cast.scientist.approvals.list(phase="pending")):
            for step in approval.steps:
                signer = self.cast.signers[step.role]
                approval = signer.approvals.vote(
                    approval.id,
                    approve=True,
                    digest=approval.target.digest,
                    reason=f"looked at the checks of {approval.target.version}: all passed",
                )
        self.cast.admin.clock.step(self.cast.admin.clock.now().now)

    def _hand_in(self, day: date) -> None:
        flights, seed = self.story.flights, self.story.seed
        scientist = self.cast.scientist
        if day == self.story.first_day:
            hand_in_flights(
                scientist,
                flights,
                version="1.0.0",
                until=flights.first_trained_until,
                max_fpr=flights.max_fpr,
                seed=seed,
                why="the first model",
            )
            hand_in_homes(
                scientist, self.story.housing, version="1.0.0", seed=seed, why="the first model"
            )
        if day == flights.broken_canary_on:
            hand_in_flights(
                scientist,
                flights,
                version="1.1.0",
                until=flights.broken_trained_until,
                max_fpr=flights.max_fpr,
                seed=seed,
                parent="1.0.0",
                faults=(flights.broken_export,),
                why="two more weeks of data",
            )
        if day == flights.healthy_canary_on:
            hand_in_flights(
                scientist,
                flights,
                version="1.2.0",
                until=flights.healthy_trained_until,
                max_fpr=flights.healthy_max_fpr,
                seed=seed,
                parent="1.0.0",
                why="the export was repaired",
            )
        if day == flights.dedicated_canary_on:
            hand_in_flights(
                scientist,
                flights,
                version="2.0.0",
                until=flights.dedicated_trained_until,
                max_fpr=flights.dedicated_max_fpr,
                seed=seed,
                tenant=flights.dedicated_tenant,
                parent="1.2.0",
                hyperparameters=Hyperparameters(
                    trees=flights.dedicated_trees,
                    depth=flights.dedicated_depth,
                    learning_rate=flights.dedicated_learning_rate,
                    min_rows_per_leaf=flights.dedicated_min_rows_per_leaf,
                ),
                why="its false alarms are twice the fleet's",
            )
        self.step(_moment(day))

    def _traffic(self, day: date) -> None:
        faults = () if self.story.flights.live_fault is None else (self.story.flights.live_fault,)
        self._send(
            FLIGHTS,
            day,
            data.flight_traffic(day, story=self.story.flights, seed=self.story.seed, faults=faults),
            self.story.flights.label_delay,
        )
        if day <= self.story.housing.last_day:
            self._send(
                HOMES,
                day,
                data.home_traffic(day, story=self.story.housing, seed=self.story.seed),
                self.story.housing.label_delay,
            )

    def _send(self, model: str, day: date, traffic: data.Traffic, delay: timedelta) -> None:
        asked = self.endpoints.ask(model, traffic)
        self.counts.predictions += len(asked.ids)
        self.counts.unanswered += asked.unanswered
        if asked.ids:
            known_at = _moment(day) + max(delay, timedelta(hours=6))
            self._waiting.append((known_at, model, f"{model}-{day.isoformat()}", asked))
            self._waiting = deque(sorted(self._waiting, key=lambda w: w[0]))

    def _labels_of(self, day: date) -> None:
        self._drained()
        self.told(day.isoformat())

    def _drained(self) -> None:
        """Wait until the gateway has shipped every prediction."""
        deadline = time.monotonic() + INGESTING_SECONDS
        headers = {"X-Api-Key": self.gateway_key}
        while time.monotonic() < deadline:
            rows = httpx.get(f"{self.gateway}/v2/health", headers=headers).json().get("rows", {})
            if rows.get("buffered") == 0:
                return
            time.sleep(0.01)
        raise Unavailable("the gateway could not ship its predictions")


def _moment(day: date) -> datetime:
    return datetime.combine(day, time_of_day(), UTC)
