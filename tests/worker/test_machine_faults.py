"""The clock jumps, descriptors run out, records turn read-only: it says so, and goes on."""

from __future__ import annotations

import dataclasses
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from tests import databases
from tests.patience import eventually
from tests.serving import administered
from tests.worker.test_application import PASSWORD, TENANTS, new_tenant, opened, tenants
from tests.worker.test_no_room import handed_in

from trimtab.app import Application
from trimtab.audit import ledger
from trimtab.identity.tokens import Tokens
from trimtab.kernel.errors import Unavailable
from trimtab.workflows.proof import verify

pytestmark = pytest.mark.slow

JUMPS = {"an hour on": timedelta(hours=1), "an hour back": timedelta(hours=-1),
         "ten years on": timedelta(days=3653), "ten years back": timedelta(days=-3653)}  # fmt: skip


class Jumping:
    """The machine's clock, which somebody sets while the process runs."""

    grain = timedelta(minutes=1)

    def __init__(self) -> None:
        self.off = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.off


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def on_a_clock_that_jumps(home: Path) -> tuple[Application, Jumping]:
    """A house that takes its time, domain and real, from a clock that can be set."""
    application, clock = opened(home), Jumping()
    parts = application.parts
    tokens = Tokens(parts.settings.public_origin(), parts.token_keys.ring, clock)
    application.parts = dataclasses.replace(parts, clock=clock, real_clock=clock, tokens=tokens)
    parts.records.clock = clock
    return application, clock


def test_a_clock_that_jumps_moves_no_entry_and_gives_nobody_a_right(home: Path) -> None:
    application, clock = on_a_clock_that_jumps(home)
    names = []
    with administered(application, PASSWORD) as client:
        first = client.headers["Authorization"]
        for number, (jump, off) in enumerate(JUMPS.items()):
            clock.off = off
            client.headers["Authorization"] = first
            assert client.get(TENANTS).status_code == 401, jump  # it lasts 30 minutes
            who = {"email": "admin@localhost", "password": PASSWORD}
            token = client.post("/api/v1/tokens", json=who).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            names.append(f"t{number}")
            answer = client.post(TENANTS, json=new_tenant(names[-1]))
            assert answer.status_code == 201, (jump, answer.text)
            assert client.get("/health").status_code in (200, 503)  # it answers
            clock.off = timedelta(0)
            assert client.get(TENANTS).status_code == 401, f"a token of {jump} is good now"
        client.headers["Authorization"] = first
        assert sorted(tenants(client)) == names, "its own time has come back"
        application.parts.heads.sign()
        _in_order(application, names)
        assert verify(application.parts).ok
    application.parts.records.database.close()
    opened(home).parts.records.database.close()  # nothing of it stops a start


def _in_order(application: Application, names: list[str]) -> None:
    """What was written later comes later, whatever time it bears."""
    with application.parts.records.look() as reading:
        found = ledger.entries(reading.connection, kinds=("tenant.created",))
    assert [entry.subject for entry in found] == names
    times = [entry.at for entry in found]
    assert times != sorted(times), "the clock never went back"


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """What is open stays open; nothing more can be opened by this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    fillers = [os.open("/dev/null", os.O_RDONLY)]
    try:
        while fillers[-1] < highest:  # gaps below the limit are room, too: the lowest comes first
            fillers.append(os.open("/dev/null", os.O_RDONLY))
        resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in fillers:
            os.close(descriptor)


def test_without_descriptors_what_needs_one_is_refused_and_reading_goes_on(home: Path) -> None:
    application = opened(home)
    blobs = application.parts.blobs
    with administered(application, PASSWORD) as client:
        assert client.post(TENANTS, json=new_tenant("before")).status_code == 201
        open_before = set(os.listdir("/proc/self/fd"))
        assert handed_in(client).status_code == 404  # the model is not there; connections are
        # What was handed in is closed after it was answered, and would make room.
        eventually(lambda: set(os.listdir("/proc/self/fd")) == open_before)
        with no_more_descriptors():
            with pytest.raises(Unavailable) as kept:  # first: a connection that ends makes room
                blobs.put(BytesIO(b"a model"), max_bytes=100)
            refused = handed_in(client)
            assert tenants(client) == ["before"]
        assert refused.status_code == 503, refused.text
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("unavailable", "2")
        assert kept.value.remedy
        # Again without a restart, as soon as there are some.
        assert handed_in(client).status_code == 404
        assert blobs.put(BytesIO(b"a model"), max_bytes=100).size == 7
        assert client.post(TENANTS, json=new_tenant("after")).status_code == 201
    application.parts.records.database.close()


def test_on_records_that_are_read_only_reading_goes_on(home: Path) -> None:
    application = opened(home)
    engine = application.parts.records.database.engine
    with administered(application, PASSWORD) as client:
        assert client.post(TENANTS, json=new_tenant("before")).status_code == 201
        with databases.read_only(home, engine):
            answer = client.post(TENANTS, json=new_tenant("during"))
            assert answer.status_code == 503, answer.text
            said = {databases.SQLITE: "readonly database", databases.POSTGRESQL: "is read-only"}
            assert said[databases.chosen()] in answer.json()["detail"]
            assert answer.json()["remedy"]
            assert tenants(client) == ["before"]
        assert client.post(TENANTS, json=new_tenant("after")).status_code == 201
        assert sorted(tenants(client)) == ["after", "before"]
    engine.dispose()
