"""The server's end of the safety gate: asks, waits so long, and starts it again if it died.

No answer is no permission: whatever goes wrong here ends in `Unavailable`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import trimtab
from trimtab.artifacts.envelope import key_id
from trimtab.artifacts.keys import load_public_key, public_pem
from trimtab.kernel import errors
from trimtab.kernel.errors import IntegrityFailed, TrimtabError, Unavailable
from trimtab.remediation.guards import Answer

MAX_ANSWER = 65_536

_ERRORS: dict[str, type[TrimtabError]] = {
    kind.code: kind
    for kind in (
        errors.InvalidInput,
        errors.NotFound,
        errors.Conflict,
        errors.IntegrityFailed,
        errors.PolicyRefused,
        errors.Unavailable,
    )
}


class Gate(Protocol):
    """The safety gate, as far as the rest of the house may use it."""

    def start(self) -> None:
        """Make sure that it answers."""
        ...

    def stop(self) -> None:
        """Let go of it."""
        ...

    def public_keys(self) -> Mapping[str, Ed25519PublicKey]:
        """What its permits are verified with, by key id."""
        ...

    def ask(self, remediation_id: str) -> Answer:
        """Its answer about a proposed remediation."""
        ...


class GateProcess:
    """The safety gate as a child process. Safe to be asked from several threads.

    Args:
        key: File of its private key; this process never opens it.
        database: Address of the database that the gate reads.
        policies: Folder of policies that are no presets.
        seconds: How long an answer, or the start, may take.
        public_key: File that its public key is written to, for processes beside this one.
    """

    def __init__(
        self,
        *,
        key: Path,
        database: str,
        seconds: float,
        policies: Path | None = None,
        public_key: Path | None = None,
    ):
        self._key = key
        self._published = public_key
        self._database = database
        self._policies = policies
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._public: tuple[str, Ed25519PublicKey] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, or None while it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start it, if it does not run.

        Raises:
            Unavailable: it did not come up in time.
            IntegrityFailed: it came back with another key than before.
        """
        with self._lock:
            self._running()

    def public_keys(self) -> Mapping[str, Ed25519PublicKey]:
        """What its permits are verified with, by key id; starts it if need be."""
        with self._lock:
            self._running()
            assert self._public is not None
            return {self._public[0]: self._public[1]}

    def ask(self, remediation_id: str) -> Answer:
        """Ask about a proposed remediation. May be asked again; the gate keeps nothing.

        Raises:
            Unavailable: it died or took too long; nothing is permitted.
            NotFound, Conflict, InvalidInput: what it said instead of a decision.
        """
        nonce = secrets.token_hex(8)
        line = json.dumps({"nonce": nonce, "remediation": remediation_id}).encode() + b"\n"
        with self._lock:
            process = self._running()
            try:
                told = self._exchange(process, line)
            except Unavailable:
                self._end()
                raise
        if told.get("nonce") != nonce:
            self.stop()
            raise Unavailable("the safety gate answered another question")
        if "error" in told:
            raise _error(told["error"])
        return _answer(told, remediation_id)

    def stop(self) -> None:
        """End it and wait for its end."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        process = self._spawn()
        self._process = process
        try:
            hello = self._exchange(process, self._database.encode() + b"\n")
            public = load_public_key(str(hello["public_key"]).encode())
        except (KeyError, Unavailable, errors.InvalidInput) as error:
            self._end()
            raise Unavailable(
                "the safety gate does not start; nothing is permitted",
                remedy="see its error output: its key file and the database must be readable",
            ) from error
        if not isinstance(public, Ed25519PublicKey):
            self._end()
            raise IntegrityFailed("the safety gate has a key of another kind")
        if self._public is not None and self._public[0] != key_id(public):
            self._end()
            raise IntegrityFailed(
                "the safety gate came back with another key",
                remedy="somebody has replaced its key file; find out who, then restart",
            )
        self._public = (key_id(public), public)
        if self._published is not None:
            whole = self._published.with_suffix(f".{os.getpid()}")
            whole.write_bytes(public_pem(public))
            whole.replace(self._published)
        return process

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-s", "-m", "trimtab.remediation.gate"]
        command += ["--key", str(self._key.resolve()), "--database", "-"]
        if self._policies is not None:
            command += ["--policies", str(self._policies.resolve())]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env=_environment(),
                start_new_session=True,  # a Ctrl-C for the server must not take it first
            )
        except OSError as error:
            raise Unavailable("the safety gate cannot be started") from error

    def _exchange(self, process: subprocess.Popen[bytes], line: bytes) -> dict[str, Any]:
        assert process.stdin is not None
        try:
            process.stdin.write(line)
        except OSError as error:
            raise Unavailable("the safety gate has ended; nothing is permitted") from error
        text = self._read_line(process)
        try:
            told = json.loads(text)
        except ValueError as error:
            raise Unavailable("the safety gate answered with something else") from error
        if not isinstance(told, dict):
            raise Unavailable("the safety gate answered with something else")
        return told

    def _read_line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        deadline = time.monotonic() + self._seconds
        seen = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not seen.endswith(b"\n"):
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    raise Unavailable(
                        "the safety gate did not answer in time; nothing is permitted"
                    )
                chunk = os.read(pipe, MAX_ANSWER)
                if not chunk:
                    raise Unavailable("the safety gate has ended; nothing is permitted")
                seen += chunk
                if len(seen) > MAX_ANSWER:
                    raise Unavailable("the safety gate answered too much")
        return bytes(seen)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)  # it holds nothing that could be lost
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _answer(told: dict[str, Any], remediation_id: str) -> Answer:
    permitted = told.get("decision") == "permitted"
    permit = told.get("permit")
    if told.get("remediation") != remediation_id or permitted is not isinstance(permit, str):
        raise Unavailable("the safety gate answered with something else")
    shown = {name: value for name, value in told.items() if name not in ("nonce", "permit")}
    return Answer(remediation_id, permitted, str(told["reason"]), permit, shown)


def _error(told: Any) -> TrimtabError:
    if not isinstance(told, dict):
        return Unavailable("the safety gate answered with something else")
    kind = _ERRORS.get(str(told.get("code")), Unavailable)
    return kind(str(told.get("message")), field=told.get("field"), remedy=told.get("remedy"))


def _environment() -> dict[str, str]:
    """Nothing of the server's: neither its secrets nor a setting that could be a switch."""
    package = Path(trimtab.__file__).resolve().parents[1]
    return {
        "PATH": os.defpath,
        "PYTHONPATH": str(package),
        "PYTHONUTF8": "1",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }
