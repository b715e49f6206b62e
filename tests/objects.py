"""A store that speaks S3, in a process of its own, and a line to it that can be cut."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace

import httpx
from tests.patience import PATIENCE_SECONDS

from trimtab.demo.processes import free_port
from trimtab.platform.blobs_bucket import Place

KEYS = re.compile(r"<Key>([^<]*)</Key>")
_AS = {
    service: {
        "Authorization": f"AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/{service}/aws4_request,"
        " SignedHeaders=host, Signature=0"
    }
    for service in ("s3", "iam")
}
_numbers = itertools.count()


@dataclass
class ObjectServer:
    """A running server; everything here goes to it without a key, past our own code."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_bucket(self) -> Place:
        """An empty bucket, by a key that may do everything."""
        name = f"models-{next(_numbers)}"
        self.http.put(f"/{name}").raise_for_status()
        return Place(name, self.url, prefix="a/prefix", key_id="test", secret="test-secret")

    def keys(self, place: Place, below: str = "") -> list[str]:
        """Every key, without the prefix."""
        listed = self.http.get(f"/{place.bucket}", params={"prefix": f"{place.prefix}/{below}"})
        return [key.removeprefix(place.prefix + "/") for key in KEYS.findall(listed.text)]

    def content(self, place: Place, key: str) -> bytes:
        """The bytes of an object."""
        return self.http.get(self._path(place, key)).raise_for_status().content

    def plant(self, place: Place, key: str, content: bytes) -> None:
        """Store an object, whatever is there."""
        self.http.put(self._path(place, key), content=content).raise_for_status()

    def lose(self, place: Place, key: str) -> None:
        """Remove an object."""
        self.http.delete(self._path(place, key)).raise_for_status()

    def unfinished(self, place: Place) -> int:
        """Uploads in several parts that were begun, and neither finished nor given up."""
        listed = self.http.get(f"/{place.bucket}", params={"uploads": ""}).text
        return listed.count("<UploadId>")

    def demand_keys(self, *rights: str) -> tuple[str, str]:
        """From now on look at keys; give back one that has these rights."""
        user = f"user-{next(_numbers)}"
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": list(rights), "Resource": "*"}],
        }
        self._iam(Action="CreateUser", UserName=user)
        self._iam(
            Action="PutUserPolicy",
            UserName=user,
            PolicyName="rights",
            PolicyDocument=json.dumps(document),
        )
        made = self._iam(Action="CreateAccessKey", UserName=user)
        self._allow_without_keys("0")
        key = re.search(r"<AccessKeyId>(.*?)</AccessKeyId>", made)
        secret = re.search(r"<SecretAccessKey>(.*?)</SecretAccessKey>", made)
        assert key is not None
        assert secret is not None
        return key[1], secret[1]

    def demand_nothing(self) -> None:
        """Take every request again."""
        self._allow_without_keys("inf")

    def _allow_without_keys(self, number: str) -> None:
        plain = {"Content-Type": "text/plain"}
        answer = self.http.post("/moto-api/reset-auth", content=number, headers=plain)
        answer.raise_for_status()

    def _iam(self, **call: str) -> str:
        answer = self.http.post("/", data={**call, "Version": "2010-05-08"}, headers=_AS["iam"])
        return answer.raise_for_status().text

    def _path(self, place: Place, key: str) -> str:
        return f"/{place.bucket}/{place.prefix}/{key}"

    def stop(self) -> None:
        """Kill it, as the machine would."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.http.close()


def start_object_server() -> ObjectServer:
    """A new server on the loopback, with nothing in it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    http = httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers=_AS["s3"], timeout=60, trust_env=False
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the package moto[server] could not be started"
        try:
            http.get("/moto-api/").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return ObjectServer(process, http, port)
    process.kill()
    raise AssertionError("the object server did not come up")


@dataclass
class Line:
    """A way to a server that is cut on demand: at once, or after so many bytes in one direction.

    What was cut stays so until it is mended. With `pause` it stops in place of being cut, and
    `reached` says so. `silent` keeps connections and says nothing.
    """

    server: ObjectServer
    up_to: float = float("inf")
    down_to: float = float("inf")
    silent: bool = False
    pause: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    _listener: socket.socket = field(init=False)
    _open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._listen, daemon=True).start()

    def place(self, of: Place) -> Place:
        """The bucket, over this line."""
        return replace(of, endpoint=f"http://127.0.0.1:{self._listener.getsockname()[1]}")

    def cut(self) -> None:
        """End every connection, and take no other."""
        self.up_to = self.down_to = 0
        for one in list(self._open):
            _end(one)

    def mend(self) -> None:
        """Let everything through again."""
        self.up_to = self.down_to = float("inf")
        self.silent = False

    def close(self) -> None:
        """For good."""
        self.pause = self.silent = False
        self.cut()
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.server.port))
            self._open += [near, far]
            for source, sink, up in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pass, args=(source, sink, up), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        try:
            while piece := source.recv(1 << 16):
                while self.silent:
                    time.sleep(0.05)
                name = "up_to" if up else "down_to"
                left = getattr(self, name) - len(piece)
                setattr(self, name, left)
                while left < 0 and self.pause:
                    self.reached.set()
                    time.sleep(0.05)
                if left < 0:
                    self.cut()
                    return
                sink.sendall(piece)
        except OSError:
            pass
        finally:
            _end(source)
            _end(sink)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.close()
