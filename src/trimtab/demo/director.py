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
from trimtab.demo.beats import Beat, Tone
from trimtab.demo.candidates import (
    FLIGHTS,
    HOMES,
    flight_candidates,
    hand_in_flights,
    hand_in_homes,
)
from trimtab.demo.cast import Cast
from trimtab.demo.endpoints import Asked, Endpoints
from trimtab.demo.story import Story
from trimtab.kernel.errors import Unavailable
from trimtab.observations.batches import labels_batch

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
    told: Callable[[Beat], None]
    """Hears what the demo itself does; of outcomes the director knows nothing."""
    counts: Counts = field(default_factory=Counts)
    _waiting: deque[tuple[datetime, str, str, Asked]] = field(default_factory=deque)

    def play(self) -> Iterator[date]:
        """Play all days; yields each when it is over."""
        day = self.story.first_day
        while day <= self.story.last_day:
            self.step(_moment(day))
            self._announce(day)
            self._hand_in(day)
            self.click()
            self._traffic(day)
            self._drained()
            yield day
            day += timedelta(days=1)
        self.step(_moment(day))
        self.click()

    def step(self, to: datetime) -> None:
        """Send labels that are known by then, and move the clock."""
        stopped_at = None
        while self._waiting and self._waiting[0][0] <= to:
            known_at, model, batch, asked = self._waiting.popleft()
            if known_at != stopped_at:
                self.cast.admin.clock.step(known_at)
                stopped_at = known_at
            body = labels_batch(asked.ids, asked.rows, asked.labels)
            self.counts.labels += self.cast.feed.send_labels(model, batch, body).rows
        self.cast.admin.clock.step(to)

    def click(self) -> None:
        """Everybody who has to sign looks at the checks of what waits, and votes by them."""
        waiting = list(self.cast.scientist.approvals.list(phase="pending"))
        for approval in waiting:
            target = approval.target
            for step in approval.steps:
                signer = self.cast.signers[step.role]
                checks = list(signer.models.checks(target.model, target.version))
                good = [check for check in checks if check.verdict == "pass"]
                approval = signer.approvals.vote(
                    approval.id,
                    approve=bool(checks) and len(good) == len(checks),
                    digest=target.digest,
                    reason=f"looked at the checks: {len(good)} of {len(checks)} pass",
                )
                if approval.phase != "pending":
                    break
        if waiting:
            self.cast.admin.clock.step(self.cast.admin.clock.now().now)

    def _announce(self, day: date) -> None:
        """Say what the demo does from today on."""
        for line in _stage_directions(self.story, day):
            self.told(Beat(_moment(day), line, Tone.STAGE))

    def _hand_in(self, day: date) -> None:
        """Hand in the candidates of today."""
        story, scientist = self.story, self.cast.scientist
        todays = [c for c in flight_candidates(story.flights, story.first_day) if c.on == day]
        for candidate in todays:
            hand_in_flights(scientist, story.flights, candidate, seed=story.seed)
        homes = day == story.first_day <= story.housing.last_day
        if homes:
            hand_in_homes(
                scientist, story.housing, version="1.0.0", seed=story.seed, why="the first model"
            )
        if todays or homes:
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
            known_at = _moment(day) + delay
            self._waiting.append((known_at, model, f"{model}-{day.isoformat()}", asked))
            self._waiting = deque(sorted(self._waiting, key=lambda w: w[0]))

    def _drained(self) -> None:
        """Wait until the gateway has shipped every prediction.

        Raises:
            Unavailable: it does not come to that.
        """
        deadline = time.monotonic() + INGESTING_SECONDS
        headers = {"X-Api-Key": self.gateway_key}
        with httpx.Client(base_url=self.gateway, headers=headers) as gateway:
            while time.monotonic() < deadline:
                rows = gateway.get("/v2/health").json().get("rows", {})
                if rows.get("buffered") == 0:
                    return
                time.sleep(0.01)
        raise Unavailable("the gateway could not ship its predictions")


def _stage_directions(story: Story, day: date) -> Iterator[str]:
    """What the demo does by itself from `day` on, in sentences."""
    flights, homes, fault = story.flights, story.housing, story.flights.live_fault
    if day == story.first_day:
        yield (
            f"the traffic: a sample of the flights of 2015, replayed with replacement "
            f"x{flights.replay}, each day drawn from the {flights.pool_days} days up to it; "
            f"seed {story.seed}"
        )
    if day == homes.moves_on:
        yield "the homes asked about lie everywhere else in the state from today on"
    if day == homes.last_day + timedelta(days=1):
        yield "nobody asks about homes any more"
    if fault is not None and day == fault.start:
        yield f"a fault is put into the feed: {fault.feature} is sent times {fault.factor:g}"
    if fault is not None and day == fault.end:
        yield f"the feed is repaired: {fault.feature} is sent as it was"


def _moment(day: date) -> datetime:
    return datetime.combine(day, time_of_day(), UTC)
