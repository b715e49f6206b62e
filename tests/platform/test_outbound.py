"""Speaking to addresses that somebody else chose: what is refused before anything is sent, and
what a server that means no good can do."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.mlflow_server import simulator as tricks
from tests.mlflow_server.simulator import Reply, Request, Simulator
from tests.platform.certificates import Authority, serving

from trimtab.kernel.errors import (
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    PolicyRefused,
    Unavailable,
)
from trimtab.platform import outbound_transport
from trimtab.platform.outbound import Limits, NoAnswer, Outbound, ServerFailed, TooLarge
from trimtab.platform.outbound_addresses import demand_allowed, embedded

LOOPBACK = (ip_network("127.0.0.0/8"),)
READS = (("GET", re.compile("/.*")), ("POST", re.compile("/search")))
QUICK = Limits(first_pause_seconds=0.001, most_pause_seconds=0.01, connect_seconds=2)
QUICK_ONCE = Limits(tries=1, connect_seconds=5)
SECRET = "s3cr3t/tok+en=="


def opened(url: str, limits: Limits = QUICK, **more: Any) -> Outbound:
    return Outbound(url, READS, limits=limits, **{"networks": LOOPBACK, **more})


@pytest.fixture
def evil() -> Iterator[Simulator]:
    with Simulator() as server:
        yield server


def ask(evil: Simulator, answer: tricks.Answer, limits: Limits = QUICK, **more: Any) -> Any:
    evil.answers["GET /x"] = answer
    with opened(evil.url, limits, **more) as http:
        return http.ask("GET", "/x")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "sqlite:///mlflow.db",
        "databricks://profile",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock",
        "gopher://host/",
        "ftp://host/",
        "javascript://host/",
        "host:5000",
        "//host/path",
        "",
        "http://",
        "http:///path",
        "http://:80",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "https://name:password@host",
        "https://good.example@10.0.0.1/",
        "https://token@host/",
        "https://host/?a=b",
        "https://host/#part",
        "https://host/a/../b",
        "https://host/%2e%2e/b",
        "https://host//b",
        "https://host\\@other/",
        "https://ho st/",
        "https://host/\n",
        "https://[::1",
        "http://[fe80::1%25eth0]/",
        "https://" + "a" * 3000,
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        opened(url)
    assert refused.value.field == "url"
    assert refused.value.remedy
    assert "password" not in refused.value.message
    assert "token" not in refused.value.message


def test_an_address_may_have_a_port_and_a_path() -> None:
    with opened("HTTPS://Host.example:8443/deep/mlflow/") as http:
        assert http.origin == "https://host.example:8443"
        assert repr(http) == "Outbound(https://host.example:8443/deep/mlflow)"


ALWAYS_REFUSED = [
    "169.254.169.254",
    "169.254.0.1",
    "0.0.0.0",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "fe80::1",
    "fe80::1%2",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "2001:db8::5efe:169.254.169.254",
]
NOT_PUBLIC = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "::1",
    "fc00::1",
    "fd12::1",
    "2001:db8::1",
    "100::1",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:0a00:0001::1",
]


@pytest.mark.parametrize("address", ALWAYS_REFUSED)
def test_some_addresses_are_never_spoken_to(address: str) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    with pytest.raises(PolicyRefused, match="never spoken to"):
        demand_allowed("host", [address], everything)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_private_addresses_are_refused_unless_their_network_is_allowed(address: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        demand_allowed("host", [address], ())
    assert "an administrator can allow" in str(refused.value.remedy)
    demand_allowed("host", [address], (ip_network("0.0.0.0/0"), ip_network("::/0")))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_spoken_to(address: str) -> None:
    demand_allowed("host", [address], ())


def test_each_address_of_a_host_must_be_allowed() -> None:
    with pytest.raises(PolicyRefused, match=r"10\.0\.0\.1"):
        demand_allowed("host", ["8.8.8.8", "10.0.0.1"], ())


def test_teredo_embeds_its_server_and_its_client() -> None:
    found = embedded(ip_address("2001:0:0808:0808:0:0:f5ff:fffe"))
    assert set(map(str, found)) == {"8.8.8.8", "10.0.0.1"}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "localhost.",
        "[::1]",
        "[::ffff:7f00:1]",
        "0",
        "169.254.169.254",
        "[::ffff:a9fe:a9fe]",
        "2852039166",
    ],
)
def test_however_a_host_is_written(evil: Simulator, host: str) -> None:
    port = evil.url.rpartition(":")[2]
    # Some forms are refused as no address at all, or by resolvers that do not know them.
    with pytest.raises((PolicyRefused, InvalidInput, NoAnswer)):
        opened(f"http://{host}:{port}", networks=()).ask("GET", "/version")
    assert not evil.requests


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    evil: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere the second time it is looked up."""
    asked: list[str] = []

    def rebinding(host: str, port: int, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.66"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    port = evil.url.rpartition(":")[2]
    answered_by(monkeypatch, rebinding)
    with opened(f"http://models.example:{port}") as http:
        assert http.ask("GET", "/version").body == b"3.17.2"
    assert asked == ["models.example"]
    assert evil.requests[0].headers["Host"] == f"models.example:{port}"


def test_a_name_that_leads_inside_the_next_time_is_checked_again(
    evil: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = iter(["127.0.0.1", "169.254.169.254"])

    def rebinding(host: str, port: int, *rest: Any, **more: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(addresses), port))]

    port = evil.url.rpartition(":")[2]
    answered_by(monkeypatch, rebinding)
    evil.answers["GET /x"] = tricks.always(b"", 200, Connection="close")
    with opened(f"http://models.example:{port}") as http:
        http.ask("GET", "/x")
        with pytest.raises(PolicyRefused, match="never spoken to"):
            http.ask("GET", "/x")


def answered_by(monkeypatch: pytest.MonkeyPatch, instead: Any) -> None:
    """Let another one look up one name."""
    real = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        asked = host == "models.example"
        return instead(host, *rest, **more) if asked else real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_only_what_is_permitted_is_sent(evil: Simulator, method: str) -> None:
    with opened(evil.url) as http, pytest.raises(PolicyRefused, match="not among the calls"):
        http.ask(method, "/api/2.0/mlflow/runs/delete")
    assert not evil.requests


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed_and_keep_their_path_to_themselves(
    evil: Simulator, status: int
) -> None:
    with pytest.raises(Unavailable) as refused:
        ask(evil, tricks.redirect(tricks.METADATA, status), headers={"Authorization": "x"})
    assert "http://169.254.169.254;" in refused.value.message
    assert "secret-path" not in refused.value.message
    assert len(evil.requests) == 1


def test_a_redirect_hides_what_is_before_the_host(evil: Simulator) -> None:
    with pytest.raises(Unavailable) as refused:
        ask(evil, tricks.redirect("https://me:pass@other.example/x"))
    assert "https://other.example;" in refused.value.message
    assert "pass" not in refused.value.message


@pytest.mark.parametrize("answer", [tricks.huge_body, tricks.endless_body, tricks.gzip_bomb])
def test_a_body_has_a_bound(evil: Simulator, answer: tricks.Answer) -> None:
    began = time.monotonic()
    with pytest.raises(TooLarge):
        ask(evil, answer, Limits(body_bytes=1 << 20))
    assert time.monotonic() - began < 20
    assert len(evil.requests) == 1


def test_a_body_that_drips_ends_with_the_request(evil: Simulator) -> None:
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        ask(evil, tricks.dripping_body, Limits(request_seconds=0.4, tries=1))
    assert time.monotonic() - began < 5


def test_a_head_that_drips_ends_with_the_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, ended = listener.getsockname()[1], threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not ended.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        limits = Limits(request_seconds=0.4, tries=1)
        with opened(f"http://127.0.0.1:{port}", limits) as http, pytest.raises(NoAnswer):
            http.ask("GET", "/x")
        ended.set()
        thread.join()


def test_all_of_it_has_a_time(evil: Simulator) -> None:
    with opened(evil.url, Limits(total_seconds=0.2)) as http:
        http.ask("GET", "/version")
        time.sleep(0.25)
        with pytest.raises(NoAnswer, match=r"has had its 0\.2 s"):
            http.ask("GET", "/version")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(evil: Simulator, status: int) -> None:
    answers = [Reply(b"busy", status), Reply(b"busy", status), Reply(b"done")]
    assert ask(evil, lambda _request: answers.pop(0)).body == b"done"


@pytest.mark.parametrize(("status", "kind"), [(500, ServerFailed), (503, NoAnswer)])
def test_tries_come_to_an_end(evil: Simulator, status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"status {status}: busy"):
        ask(evil, tricks.always(b"busy", status))
    assert len(evil.requests) == QUICK.tries


@pytest.mark.parametrize(("status", "kind"), [(401, NotAuthenticated), (403, NotPermitted)])
def test_refused_credentials_are_not_tried_again(
    evil: Simulator, status: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        ask(evil, tricks.always(b"go away", status))
    assert len(evil.requests) == 1


@pytest.mark.parametrize(("asked", "waited"), [("3", 3.0), ("86400", 30.0), ("0", 0.0)])
def test_a_server_may_say_when_to_come_back_within_a_bound(
    evil: Simulator, asked: str, waited: float
) -> None:
    pauses: list[float] = []
    answers = [Reply(b"", 429, {"Retry-After": asked}), Reply(b"done")]
    ask(evil, lambda _request: answers.pop(0), Limits(), rest=pauses.append)
    assert pauses == [waited]


@pytest.mark.parametrize("asked", ["-1", "soon", "1e9", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_time_to_come_back_that_is_none_is_not_believed(evil: Simulator, asked: str) -> None:
    pauses: list[float] = []
    answers = [Reply(b"", 503, {"Retry-After": asked}), Reply(b"", 503), Reply(b"done")]
    ask(evil, lambda _request: answers.pop(0), Limits(), rest=pauses.append)
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1


def test_no_error_and_no_log_has_the_credentials(
    evil: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": f"Bearer {SECRET}"}
    for status in (401, 403, 500, 503):

        def echo(request: Request, status: int = status) -> Reply:
            told = f"bad {request.headers['Authorization']} s3cr3t%2Ftok%2Ben%3D%3D"
            return Reply(told.encode(), status)

        with pytest.raises((Unavailable, NotAuthenticated, NotPermitted)) as refused:
            ask(evil, echo, headers=headers, secrets=[SECRET])
        error: BaseException | None = refused.value
        shown = ""
        while error is not None:
            shown += f"{error!r} {error} {vars(error)}"
            error = error.__cause__ or error.__context__
        assert "[redacted]" in refused.value.message
        assert not [part for part in (SECRET, "s3cr3t%2F") if part in shown]
    assert SECRET not in caplog.text
    assert SECRET not in repr(opened(evil.url, headers=headers, secrets=[SECRET]))


def test_what_is_quoted_is_short_and_printable(evil: Simulator) -> None:
    with pytest.raises(ServerFailed) as refused:
        ask(evil, tricks.always(b"\x1b[31m\r\n" + "\u202e".encode() + b"y" * 9000, 500))
    message = refused.value.message
    assert message.isprintable()
    assert len(message) < 300


def test_no_cookie_is_kept(evil: Simulator) -> None:
    evil.answers["GET /x"] = tricks.always(b"", 200, Set_Cookie="a=b; Path=/")
    with opened(evil.url) as http:
        http.ask("GET", "/x")
        http.ask("GET", "/x")
    assert "Cookie" not in evil.requests[1].headers


def test_files_are_handed_on_as_they_come(evil: Simulator) -> None:
    evil.answers["GET /file"] = tricks.huge_body
    with opened(evil.url) as http, http.stream("/file") as chunks:
        assert len(next(chunks)) > 0
    for answer, kind in (
        (tricks.missing, NotFound),
        (tricks.always(b"no", 400), Unavailable),
        (tricks.gzip_bomb, Unavailable),
    ):
        evil.answers["GET /file"] = answer
        with opened(evil.url) as http, pytest.raises(kind), http.stream("/file"):
            pass


def test_a_file_that_breaks_off_is_no_file(evil: Simulator) -> None:

    def close(request: Request) -> Reply:
        return Reply(iter([b"half"]), headers={"Content-Length": "8", "Connection": "close"})

    evil.answers["GET /file"] = close
    with (
        opened(evil.url) as http,
        http.stream("/file") as chunks,
        pytest.raises(NoAnswer, match="broke off"),
    ):
        list(chunks)


def test_certificates_are_verified(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    with serving(ours.issue("localhost")) as port:
        with opened(f"https://localhost:{port}", ca_file=ours.file) as http:
            assert http.ask("GET", "/x").body == b"OK"
        for ca_file in (None, others.file):
            demand_refused(port, ca_file)
    for bad in (ours.issue("elsewhere.example"), ours.issue("localhost", expired=True)):
        with serving(bad) as port:
            demand_refused(port, ours.file)


def demand_refused(port: int, ca_file: Path | None) -> None:
    with (
        opened(f"https://localhost:{port}", QUICK_ONCE, ca_file=ca_file) as http,
        pytest.raises(NoAnswer, match="certificate"),
    ):
        http.ask("GET", "/x")


def test_verification_cannot_be_switched_off() -> None:
    context = outbound_transport.trusted(None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_file_of_certificates_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        with pytest.raises(InvalidInput) as refused:
            opened("https://host.example", ca_file=path)
        assert refused.value.field == "ca_file"
