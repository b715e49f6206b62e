"""A large artifact through the real server: how fast, and in how much memory.

The control plane runs in a process of its own over a version of 100 MB that was really signed;
its bytes lie in local files, or in a bucket of a server that speaks S3. The floor is a bare
uvicorn that sends the same file in pieces, without a look at it; the digest, which is checked
before the first byte leaves, and the loopback alone are measured beside it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.floor import TICKS, Figure, Goal, cpu_seconds
from benchmarks.load import get
from benchmarks.processes import Server, control_plane, free_port, server
from benchmarks.seeding import SEEDER, furnish, version_registered
from trimtab.app import Application
from trimtab.artifacts.binding import Binding
from trimtab.identity import service as identity
from trimtab.identity.passwords import hash_password
from trimtab.kernel.ids import VersionId, new_id
from trimtab.platform.logs import configure_logs
from trimtab.platform.settings import Settings
from trimtab.registry import store

MEGABYTE = 1_000_000
MIB = 1 << 20
FAST = Goal(300.0, at_least=True)
LITTLE = Goal(32.0)
MODEL, VERSION = "model-0000", "1.1.0"


@dataclass(frozen=True)
class Stored:
    """A large version in a home folder, and a key that may download it."""

    file: Path
    key: str


def measure(*, tiny: bool) -> list[Figure]:
    """MB/s of downloads from both stores, what they rest on, and the growth of the server."""
    size, runs = (2 * MEGABYTE, 1) if tiny else (100 * MEGABYTE, 5)
    with tempfile.TemporaryDirectory() as folder:
        home, copied = Path(folder) / "files", Path(folder) / "bucket"
        house = store_large(home, size, {})
        figures = _local(home, house, runs) + _machine(house.file, runs)
        with bucket() as settings:
            house = store_large(copied, size, settings)
            return figures + _from_bucket(copied, house, settings, runs)


def _local(home: Path, house: Stored, runs: int) -> list[Figure]:
    port, plain = free_port(), get("/")
    bare = ["uvicorn", "benchmarks.bare:plain", "--port", str(port), "--log-level", "error"]
    more = {"BENCHMARK_FILE": str(house.file)}
    with control_plane(home) as ours, server(bare, port, "/", more) as floor:
        wanted = _request(house.key)
        download(ours, wanted)  # first imports
        reset_peak(ours.pid)
        before = resident_mib(ours.pid)
        rounds = [(_round(ours, wanted), _round(floor, plain)) for _ in range(runs)]
        grown = peak_mib(ours.pid) - before
    speed, spent = (([r[0][i] for r in rounds], [r[1][i] for r in rounds]) for i in (0, 1))
    name = "the same file from a bare uvicorn"
    return [
        Figure("download, local files", "MB/s", *speed, name, FAST),
        Figure("download, local files: server CPU", "ms", *spent, name),
        Figure("the server's memory grows by", "MiB", [grown], goal=LITTLE),
    ]


def _round(process: Server, wanted: bytes) -> tuple[float, float]:
    """MB/s of a download, and the milliseconds of processor time that the server spent on it,
    which the system counts in ticks: one at least."""
    before = cpu_seconds(process.pid)
    speed = download(process, wanted)
    return speed, max(cpu_seconds(process.pid) - before, 1 / TICKS) * 1000


def _from_bucket(home: Path, house: Stored, settings: Mapping[str, str], runs: int) -> list[Figure]:
    wanted = _request(house.key)
    with control_plane(home, more=settings) as ours:
        download(ours, wanted)
        reset_peak(ours.pid)
        before = resident_mib(ours.pid)
        copied = [download(ours, wanted) for _ in range(runs)]
        fetched = []
        for _ in range(runs):
            house.file.unlink()
            fetched.append(download(ours, wanted))
        grown = peak_mib(ours.pid) - before
    floor = [_plain_get(settings) for _ in range(runs)]
    return [
        Figure("download, bucket, verified copy here", "MB/s", copied, goal=FAST),
        Figure(
            "download, bucket, to be fetched first",
            "MB/s",
            fetched,
            floor,
            "the object alone from the same server",
        ),
        Figure("the server's memory grows by", "MiB", [grown], goal=LITTLE),
    ]


def _machine(file: Path, runs: int) -> list[Figure]:
    """What no download can be faster than."""
    return [
        Figure("SHA-256 of the file", "MB/s", [_hashed(file) for _ in range(runs)]),
        Figure("sendfile over the loopback", "MB/s", [_sent(file) for _ in range(runs)]),
    ]


def store_large(home: Path, size: int, settings: Mapping[str, str]) -> Stored:
    """A house with a version of `size` bytes, stored and signed by the house's own parts."""
    furnish(home, models=1, tenants=1, dedicated=1)
    values: dict[str, Any] = {"TRIMTAB_HOME": home, **settings}
    configure_logs("ERROR")
    application = Application(Settings(**values))
    parts = application.parts
    blob = parts.blobs.put(_Noise(size), max_bytes=size)
    binding = Binding(MODEL, VERSION, None, blob.digest, blob.digest)
    with parts.records.begin(SEEDER, reason="benchmark") as work:
        former = store.find_version(work, MODEL, "1.0.0")
        assert former is not None
        version = replace(
            former,
            id=VersionId(new_id("ver")),
            version=VERSION,
            number=1000,
            digest=blob.digest,
            size_bytes=blob.size,
            binding=binding.to_bytes().decode(),
            signature=parts.signer.sign(parts.blobs.path(blob.digest), binding).decode(),
            signer=parts.signer.key_id,
        )
        store.add_version(work, version, version_registered(version))
        owner = identity.add_person(
            work,
            email="scientist@example.org",
            name="Scientist",
            roles=("data_scientist",),
            password_hash=hash_password(secrets.token_urlsafe(16)),
        )
        account = identity.add_account(
            work, name="scientist", owner=owner.id, roles=("data_scientist",), tenant=None
        )
        key = identity.issue_key(work, account)[1]
    path = parts.blobs.path(blob.digest)
    parts.records.database.close()
    return Stored(path, key)


class _Noise:
    """Bytes that nobody holds and that cannot be packed."""

    def __init__(self, size: int):
        self._left = size

    def read(self, size: int, /) -> bytes:
        size = min(size, self._left)
        self._left -= size
        return os.urandom(size)


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """An empty bucket of a server on the loopback, as settings."""
    port = free_port()
    command = ["moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with server(command, port, "/moto-api/", quiet=True):
        endpoint = f"http://127.0.0.1:{port}"
        with httpx.Client(trust_env=False) as client:
            client.put(f"{endpoint}/artifacts").raise_for_status()
        yield {
            "S3_BUCKET": "artifacts",
            "S3_ENDPOINT": endpoint,
            "S3_ACCESS_KEY_ID": "benchmark",
            "S3_SECRET_ACCESS_KEY": secrets.token_hex(16),
        }


def _request(key: str) -> bytes:
    path = f"/api/ml/model/download?model={MODEL}&version={VERSION}"
    return get(path, f"X-Api-Key: {key}\r\n")


def download(process: Server, wanted: bytes) -> float:
    """MB/s from the request to the last byte, for a caller that only counts them."""
    return _speed(lambda: _received(process.port, wanted))


def _received(port: int, wanted: bytes) -> int:
    room = bytearray(MIB)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(wanted)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode() + connection.recv(10_000).decode())
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        left = size
        while left > 0:
            left -= connection.recv_into(room)
    return size


def _plain_get(settings: Mapping[str, str]) -> float:
    """MB/s of the stored object, straight from the server that has it."""
    at = f"{settings['S3_ENDPOINT']}/{settings['S3_BUCKET']}"
    form = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, Signature=0"
    with httpx.Client(trust_env=False, headers={"Authorization": form}, timeout=60) as client:
        listed = client.get(at).raise_for_status().text
        key = listed.partition("<Key>sha256/")[2].partition("</Key>")[0]

        def taken() -> int:
            with client.stream("GET", f"{at}/sha256/{key}") as answer:
                return sum(len(piece) for piece in answer.iter_raw())

        return _speed(taken)


def _hashed(file: Path) -> float:
    def hashed() -> int:
        with file.open("rb") as content:
            hashlib.file_digest(content, "sha256")
            return content.tell()

    return _speed(hashed)


def _sent(file: Path) -> float:
    """A file through a socket by the kernel alone, to a thread that only counts."""

    def sent() -> int:
        near, far = socket.socketpair()
        with near, far, file.open("rb") as content:

            def send() -> None:
                near.sendfile(content)
                near.close()

            sender = threading.Thread(target=send)
            sender.start()
            room, size = bytearray(MIB), 0
            while taken := far.recv_into(room):
                size += taken
            sender.join()
            return size

    return _speed(sent)


def _speed(one: Callable[[], int]) -> float:
    began = time.perf_counter()
    size = one()
    return size / MEGABYTE / (time.perf_counter() - began)


def reset_peak(pid: int) -> None:
    """Count the most memory from here on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


def resident_mib(pid: int) -> float:
    """Memory that a process holds now."""
    return _memory(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """The most that it has held since the peak was reset."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"{name} of process {pid} is not known")
