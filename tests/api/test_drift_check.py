"""Checks whether a table has moved: what is answered and entered, for whom, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import os
import secrets
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.api.conftest import START, TENANTS, House, assembled, parquet
from tests.api.neighbours import OURS, THEIRS, Street
from tests.databases import database_for
from tests.objects import ObjectServer

from trimtab.demo.processes import start_control_plane
from trimtab.incidents import store as incidents
from trimtab.kernel.errors import InvalidInput, TooManyRequests
from trimtab.platform.turns import Turns
from trimtab.profiles import codec
from trimtab.profiles.arrow import profile_of
from trimtab.profiles.sources import open_source
from trimtab.registry import store as registry
from trimtab.sdk.client import Client, Persistence

pytestmark = pytest.mark.slow

PATH = "/api/v1/monitoring/drift-check"
ROWS = 2000
BUCKET, PREFIX = "tables", "shared"


def table(seed: int, *, shift: float = 0.0, rows: int = ROWS) -> pa.Table:
    """Some numbers, some categories, some nulls, and times, which are not compared."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "amount": rng.normal(50.0 + 10.0 * shift, 10.0, rows),
            "age": pa.array(rng.integers(18, 80, rows), mask=rng.random(rows) < 0.05),
            "kind": rng.choice(["card", "cash"], rows).tolist(),
            "at": pa.array(np.arange(rows), pa.timestamp("s")),
        }
    )


def values(seed: int = 1, *, shift: float = 0.0, rows: int = ROWS) -> dict[str, Any]:
    """The same by value, without the times."""
    return {"columns": table(seed, shift=shift, rows=rows).drop_columns("at").to_pydict()}


def packed(content: bytes) -> dict[str, str]:
    return {"profile": base64.b64encode(content).decode()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is open to the fleet, one for each tenant, and one that is not open."""
    found = tmp_path_factory.mktemp("tables")
    for name in ("shared", "tenants/aa", "tenants/ua", "secret"):
        folder = found / name
        folder.mkdir(parents=True)
        pq.write_table(table(1), folder / "reference.parquet")
        pq.write_table(table(2), folder / "same.parquet")
        pq.write_table(table(3, shift=1.0), folder / "moved.parquet")
    return found


@pytest.fixture(scope="module")
def checked(
    folders: Path, object_server: ObjectServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A control plane that reads tables from these folders, and from a bucket."""
    for bucket in (BUCKET, "closed"):
        object_server.http.put(f"/{bucket}").raise_for_status()
        for key in (f"{PREFIX}/moved.parquet", "aa/moved.parquet", "private/moved.parquet"):
            object_server.http.put(
                f"/{bucket}/{key}", content=parquet(table(3, shift=1.0))
            ).raise_for_status()
    home = tmp_path_factory.mktemp("checked") / "home"
    settings = {
        **database_for(home),
        "TRIMTAB_CHECK_FOLDERS": f"{folders}/shared, {folders}/tenants/{{tenant}}",
        "TRIMTAB_CHECK_BUCKETS": f"{BUCKET}/{PREFIX},{BUCKET}/{{tenant}}",
        "TRIMTAB_CHECK_MIB": "1",
        "TRIMTAB_CHECK_ROWS": "100000",
        "TRIMTAB_CHECKS_AT_A_TIME": "4",
        "S3_ENDPOINT": object_server.url,
        "S3_ACCESS_KEY_ID": "test",
        "S3_SECRET_ACCESS_KEY": "test-secret",
    }
    control = start_control_plane(home, START, port=None, more=settings)
    try:
        found = assembled(control, None)  # type: ignore[arg-type] # no version is handed in
        yield found
        for client in found.people.values():
            client.close()
    finally:
        control.process.handle.kill()
        control.process.stop()


Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(checked: House) -> Ask:
    """Ask for a check as somebody; by default a data scientist of the fleet."""

    def asked(
        current: Any, reference: Any = None, *, who: str = "data_scientist", **more: Any
    ) -> httpx.Response:
        headers = more.pop("headers", {})
        body = {"current_data": current, "reference_data": reference, **more}
        with checked.http(who, **headers) as http:
            answer: httpx.Response = http.post(
                PATH, json={k: v for k, v in body.items() if v is not None}
            )
        return answer

    return asked


def entries(house: House) -> list[Any]:
    return list(house.people["auditor"].audit.entries(kinds=("drift.checked",)))


# --- what is answered ---------------------------------------------------------------


def test_values_that_have_moved_are_told_with_the_evidence(ask: Ask, checked: House) -> None:
    answer = ask(values(3, shift=1.0), values(1))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["drift_detected"] is True
    assert told["verdict"] == "fail"
    affected = told["affected_features"][0]
    assert (affected["name"], affected["drift_type"]) == ("amount", "data_drift")
    assert affected["p_value"] < 1e-6
    assert told["drift_score"] == affected["magnitude"] == pytest.approx(0.38, abs=0.1)
    assert told["incident_id"] is None
    assert told["timestamp"] == START
    assert told["threshold"] == 0.05
    assert told["policy"]["name"] == "standard"
    assert set(told["features"]) == {"amount", "age", "kind"}
    assert told["features"]["amount"]["reason"].startswith("scaled Wasserstein")
    (entry,) = [e for e in entries(checked) if e.subject == told["check_id"]]
    assert entry.data["affected"] == [one["name"] for one in told["affected_features"]]
    assert entry.data["verdict"] == "fail"
    assert entry.data["policy_digest"] == told["policy"]["digest"]


def test_what_has_not_moved_passes_and_what_is_too_little_does_not(ask: Ask) -> None:
    told = ask(values(2), values(1)).json()
    assert (told["verdict"], told["drift_detected"], told["affected_features"]) == (
        "pass",
        False,
        [],
    )
    few = {"columns": {"amount": [1.0, 2.0, 3.0]}}
    told = ask(few, few).json()
    assert told["verdict"] == "inconclusive"
    assert "needed" in told["reason"]


def test_a_file_an_object_and_a_profile_are_answered_alike(ask: Ask, folders: Path) -> None:
    reference = f"{folders}/shared/reference.parquet"
    kept = codec.to_bytes(open_source(reference).profile())
    like = codec.from_bytes(kept).columns
    now = open_source(f"{folders}/shared/moved.parquet").profile(like=like)
    found = [
        ask(current, before)
        for before in (reference, {"uri": reference}, f"file://{reference}", packed(kept))
        for current in (
            f"{folders}/shared/moved.parquet",
            f"s3://{BUCKET}/{PREFIX}/moved.parquet",
            packed(codec.to_bytes(now)),
        )
    ]
    assert {answer.status_code for answer in found} == {200}, [a.text[:200] for a in found]
    told = [answer.json() for answer in found]
    assert {one["features"]["amount"]["ks_d"] for one in told} == {
        told[0]["features"]["amount"]["ks_d"]
    }
    assert {tuple(one["skipped"]) for one in told} == {("at",)}


def test_a_stored_profile_is_a_file_too(ask: Ask, folders: Path) -> None:
    place = folders / "shared" / "reference.profile"
    place.write_bytes(codec.to_bytes(profile_of(table(1))))
    assert ask(f"{folders}/shared/moved.parquet", str(place)).json()["verdict"] == "fail"


def test_only_the_features_that_are_named_are_compared(ask: Ask, folders: Path) -> None:
    both = f"{folders}/shared/moved.parquet", f"{folders}/shared/reference.parquet"
    told = ask(*both, features=["age", "kind"]).json()
    assert (set(told["features"]), told["verdict"]) == ({"age", "kind"}, "pass")
    same = ask(*both, detection_config={"features": ["age"]}).json()
    assert set(same["features"]) == {"age"}


def test_what_is_asked_of_detection_is_done(ask: Ask) -> None:
    both = values(3, shift=0.3, rows=600), values(1)
    config = {"algorithms": ["ks", "psi"], "quorum": 1, "sensitivity": "low", "window_size": 200}
    told = ask(*both, detection_config=config, threshold=0.01, policy="tiered", tier=4).json()
    assert told["threshold"] == 0.01
    assert (told["policy"]["name"], told["policy"]["tier"]) == ("tiered", 4)
    votes = {vote["detector"] for vote in told["features"]["amount"]["votes"]}
    assert votes == {"ks", "psi"}
    assert [(one["begin"], one["end"], one["rows"]) for one in told["windows"]] == [
        ("0", "200", 200),
        ("200", "400", 200),
        ("400", "600", 200),
    ]


def test_a_fault_in_the_last_window_alone_is_found(ask: Ask) -> None:
    current = values(2, rows=600)["columns"]
    current["amount"] = [*current["amount"][:400], *(x + 40 for x in current["amount"][400:])]
    told = ask({"columns": current}, values(1), detection_config={"window_size": 200}).json()
    moved = [[f["name"] for f in one["affected_features"]] for one in told["windows"]]
    assert ["amount" in names for names in moved] == [False, False, True]
    assert told["windows"][-1]["verdict"] == "fail"


def test_the_client_asks_with_the_values_that_python_has(checked: House, folders: Path) -> None:
    client = checked.people["data_scientist"]
    by_value = client.monitoring.drift_check(
        values(3, shift=1.0)["columns"], values(1)["columns"], threshold=0.01
    )
    assert by_value.affected_features[0].name == "amount"
    kept = codec.to_bytes(profile_of(table(1)))
    assert client.monitoring.drift_check(f"{folders}/shared/same.parquet", kept).verdict == "pass"
    with pytest.raises(InvalidInput) as refused:
        client.monitoring.drift_check({"amount": [1.0]}, {"amount": [1.0], "age": [2]})
    assert [column for column, _ in refused.value.faults] == ["age"]


# --- the same again -----------------------------------------------------------------


def test_the_same_request_is_checked_once_and_answered_the_same(
    ask: Ask, checked: House, refuses: Any
) -> None:
    header = {"Idempotency-Key": secrets.token_hex(16)}
    before = len(entries(checked))
    found = [ask(values(2), values(1), headers=header) for _ in range(2)]
    assert found[0].content == found[1].content
    assert found[1].headers["idempotency-replayed"] == "true"
    assert len(entries(checked)) == before + 1
    other = ask(values(3), values(1), headers=header)
    assert refuses(other, 422, "invalid_input")["field"] == "Idempotency-Key"


# --- tables that cannot be compared are never read as health ------------------------


BROKEN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "missing": ({"amount": [1.0] * 50}, {"kind"}),
    "another type": ({"amount": ["a"] * 50, "kind": [1.5] * 50}, {"amount"}),
    "all null": ({"amount": [None] * 50, "kind": ["card"] * 50}, {"amount"}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_every_column_that_cannot_be_compared_is_named(
    ask: Ask, checked: House, refuses: Any, what: str
) -> None:
    current, columns = BROKEN[what]
    before = len(entries(checked))
    reference = {"columns": {"amount": [1.0, 2.0] * 25, "kind": ["card", "cash"] * 25}}
    body = refuses(ask({"columns": current}, reference), 422, "invalid_input")
    assert {one["field"] for one in body["errors"]} >= columns
    assert all(len(one["what"]) > 20 for one in body["errors"])
    assert "--" not in json.dumps(body), "words of the command line"
    assert len(entries(checked)) == before


def test_a_feature_that_somebody_names_has_to_be_there(ask: Ask, refuses: Any) -> None:
    for features in (["nothing"], ["amount", "nothing"]):
        body = refuses(ask(values(), values(), features=features), 422, "invalid_input")
        assert [one["field"] for one in body["errors"]] == ["nothing"]
    reference = {"columns": {"kind": ["card"] * 50}}
    body = refuses(ask(values(), reference, features=["kind", "amount"]), 422, "invalid_input")
    assert [one["field"] for one in body["errors"]] == ["amount"]


@pytest.mark.parametrize("side", ["current_data", "reference_data"])
def test_a_table_without_rows_is_no_table(ask: Ask, refuses: Any, folders: Path, side: str) -> None:
    empty = folders / "shared" / "empty.parquet"
    pq.write_table(table(1).slice(0, 0), empty)
    sides: list[Any] = [str(empty), {"columns": {"amount": []}}]
    for nothing in sides:
        both = {"current_data": values(), "reference_data": values(), side: nothing}
        answer = ask(both["current_data"], both["reference_data"])
        assert refuses(answer, 422, "invalid_input")["field"] == side


# --- values -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        "[NaN, 1]",
        "[1, Infinity]",
        "[1, -Infinity]",
        "[1e999, 2]",
        "[" * 300 + "]" * 300,
        "[" * 60000 + "]" * 60000,
        '[{"a": 1}]',
        "[[1]]",
        '[1, "a"]',
        "[true, 1]",
        "[1" + "0" * 400 + "]",
        "[1" + "0" * 6000 + "]",
        "7",
        "null",
        '["\\ud800"]',
        '["\\u0000"]',
    ],
)
def test_values_that_are_none_are_refused(checked: House, refuses: Any, column: str) -> None:
    text = '{"current_data": {"columns": {"x": %s}}, "reference_data": {"columns": {"x": [1]}}}'
    with checked.http("data_scientist") as http:
        answer = http.post(
            PATH, content=text % column, headers={"Content-Type": "application/json"}
        )
    assert refuses(answer, 422, "invalid_input")["field"]


def test_values_at_the_ends_of_what_there_is_are_compared(ask: Ask) -> None:
    wide = {"columns": {"x": [1.7e308, -1.7e308, 5e-324, 0.0, -0.0] * 100}}
    whole = {"columns": {"x": [2**63 - 1, -(2**63), 2**70, 0] * 100}}
    for current in (wide, whole):
        for reference in (wide, whole):
            answer = ask(current, reference)
            assert answer.status_code == 200, answer.text
            assert "Infinity" not in answer.text
            assert "NaN" not in answer.text


def test_more_than_a_body_holds_and_columns_without_end_are_refused(ask: Ask, refuses: Any) -> None:
    huge = {"columns": {"x": [0.123456789] * 100_000}}
    refuses(ask(huge, huge), 413, "too_large")
    wide = {"columns": {f"c{n}": [1] for n in range(2001)}}
    body = refuses(ask(wide, wide), 422, "invalid_input")
    assert body["field"].endswith("_data.columns")
    uneven = {"columns": {"a": [1, 2], "b": [1]}}
    body = refuses(ask(uneven, values()), 422, "invalid_input")
    assert body["field"] == "current_data.columns.b"


@pytest.mark.parametrize(
    "more",
    [
        {"policy": "nobody's"},
        {"tier": 5},
        {"threshold": 0},
        {"threshold": 1.5},
        {"detection_config": {"algorithms": ["chance"]}},
        {"detection_config": {"algorithms": []}},
        {"detection_config": {"algorithms": ["ks"], "quorum": 9}},
        {"detection_config": {"sensitivity": "extreme"}},
        {"detection_config": {"window_size": 0}},
        {"detection_config": {"features": ["a"]}, "features": ["a"]},
        {"unheard_of": 1},
        {"model_id": "no-model", "tier": 1},
    ],
)
def test_what_is_not_known_or_out_of_bounds_is_refused(
    ask: Ask, refuses: Any, more: dict[str, Any]
) -> None:
    assert refuses(ask(values(), values(), **more), 422, "invalid_input")["field"]


def test_a_table_is_given_in_one_way(ask: Ask, refuses: Any) -> None:
    none: list[Any] = [{}, {"uri": "/x", "profile": "AAAA"}, 7, [], {"rows": []}, {"uri": None}]
    for bad in none:
        refuses(ask(bad, values()), 422, "invalid_input")
    refuses(ask(values()), 422, "invalid_input")
    assert ask(values(), model_id="no-model").status_code == 404


# --- addresses ----------------------------------------------------------------------


def test_no_file_is_read_where_none_is_opened(house: Any, refuses: Any, folders: Path) -> None:
    with house.http("data_scientist") as http:
        for address in (f"{folders}/shared/same.parquet", "s3://tables/shared/moved.parquet"):
            answer = http.post(PATH, json={"current_data": address, "reference_data": values()})
            assert "ask the operator" in refuses(answer, 409, "policy_refused")["remedy"]


def test_nothing_out_of_the_open_folders_is_read_whether_it_is_there_or_not(
    ask: Ask, refuses: Any, folders: Path, checked: House
) -> None:
    shared = folders / "shared"
    (shared / "link.parquet").symlink_to(folders / "secret" / "moved.parquet")
    (shared / "way").symlink_to(folders / "secret", target_is_directory=True)
    (shared / "out").symlink_to("/", target_is_directory=True)
    outside = [
        f"{folders}/secret/moved.parquet",
        f"{folders}/secret/none.parquet",
        f"{shared}/../secret/moved.parquet",
        f"{shared}/./../secret/moved.parquet",
        f"{shared}/link.parquet",
        f"{shared}/way/moved.parquet",
        f"{shared}/way/none.parquet",
        f"{shared}/out/etc/passwd",
        f"{shared}x/moved.parquet",
        f"file://{shared}/%2e%2e/secret/moved.parquet",
        "/etc/passwd",
        "/proc/self/environ",
        "/etc/none",
        f"{checked.control.home}/trimtab.sqlite",
        f"{folders}/tenants/aa/moved.parquet",
    ]
    said = set()
    for address in outside:
        body = refuses(ask(address, values()), 409, "policy_refused")
        said.add((body["detail"], body["field"], body["remedy"]))
    assert len(said) == 1, "what is refused is told apart by nothing"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/x.parquet",
        "https://example.org/x.parquet",
        "gs://bucket/x.parquet",
        "file://elsewhere/x.parquet",
        "file://localhost/etc/passwd",
        "file:///x%00.parquet",
        "relative.parquet",
        "../../etc/passwd",
        "data:text/plain,x",
        "ftp://h/x",
        "s3a://tables/x",
        "~/x.parquet",
        " /etc/passwd",
        "s3://",
        "s3://tables",
        "s3://tables/",
        "s3:///shared/moved.parquet",
        "s3://tables/shared/../private/moved.parquet",
        "s3://tables/shared//moved.parquet",
        "x" * 1025,
        "",
    ],
)
def test_no_other_address_is_fetched(ask: Ask, refuses: Any, address: str) -> None:
    assert refuses(ask(values(), address), 422, "invalid_input")["field"].startswith(
        "reference_data"
    )


def test_no_object_of_another_bucket_or_prefix_is_read(ask: Ask, refuses: Any) -> None:
    for address in (
        "s3://closed/shared/moved.parquet",
        f"s3://{BUCKET}/private/moved.parquet",
        f"s3://{BUCKET}/sharedmore/moved.parquet",
        f"s3://{BUCKET}/aa/moved.parquet",
        f"s3://{BUCKET}/none/none.parquet",
    ):
        refuses(ask(address, values()), 409, "policy_refused")
    refuses(ask(f"s3://{BUCKET}/{PREFIX}/none.parquet", values()), 404, "not_found")


def test_what_is_no_table_or_too_large_is_refused(ask: Ask, refuses: Any, folders: Path) -> None:
    shared = folders / "shared"
    (shared / "text.parquet").write_bytes(b"amount\n1\n" * 100)
    (shared / "nothing.parquet").write_bytes(b"")
    whole = (shared / "moved.parquet").read_bytes()
    (shared / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (shared / "spoilt.parquet").write_bytes(b"PAR1" + whole[4:-200] + b"\xff" * 192 + whole[-8:])
    (shared / "large.parquet").write_bytes(b"PAR1" + b"\0" * (1 << 20))
    rows = pa.table({"amount": pa.array([1.0] * 100_001)})
    pq.write_table(rows, shared / "rows.parquet")
    wide = pa.table({f"c{n}": pa.array([1] * 1500) for n in range(1500)})
    pq.write_table(wide, shared / "wide.parquet", compression="zstd")
    os.mkfifo(shared / "pipe")
    names = ("text", "nothing", "cut", "spoilt", "large", "rows", "wide")
    for address in [*(f"{shared}/{name}.parquet" for name in names), f"{shared}/pipe", f"{shared}"]:
        body = refuses(ask(address, values()), 422, "invalid_input")
        assert body["field"].partition(".")[0] in ("current_data", "features"), address
        assert str(folders) not in body["detail"], "no refusal says where a file was looked for"
    refuses(ask(f"{shared}/none.parquet", values()), 404, "not_found")


def test_a_bomb_goes_off_where_nothing_is_hurt(ask: Ask, refuses: Any, folders: Path) -> None:
    """A page that claims, and is, far more than the file: memory is bounded from outside."""
    bomb = folders / "shared" / "bomb.parquet"
    text = pa.array(["x" * (1 << 28)], pa.large_string())
    pq.write_table(pa.table({"kind": text}), bomb, compression="zstd", use_dictionary=False)
    assert bomb.stat().st_size < 1 << 20
    answer = ask(str(bomb), {"columns": {"kind": ["card", "cash"] * 50}})
    assert answer.status_code in (200, 422), answer.text
    assert ask(values(2), values(1)).json()["verdict"] == "pass"


# --- profiles -----------------------------------------------------------------------


def forged(change: Callable[[dict[str, Any]], Any]) -> dict[str, str]:
    """A profile in which somebody has changed something."""
    document = codec.to_document(profile_of(table(1)))
    change(document)
    return packed(zlib.compress(json.dumps(document).encode()))


def _column(document: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in document["columns"] if one["kind"] == kind)
    return found


FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "rows": lambda d: d.update(rows=10**30),
    "negative": lambda d: d.update(rows=-1),
    "version": lambda d: d.update(version=99),
    "no columns": lambda d: d.update(columns=[]),
    "twice": lambda d: d["columns"].append(d["columns"][0]),
    "level": lambda d: _column(d, "numeric")["cells"][0].__setitem__(0, 10**6),
    "grid": lambda d: _column(d, "numeric").update(grid=[10**9, 10**18, 10**18]),
    "edges": lambda d: _column(d, "numeric").update(low=1e308, high=-1e308),
    "counts": lambda d: _column(d, "numeric").update(nulls=10**18),
    "steps": lambda d: _column(d, "numeric")["cells"][0][1].__setitem__(0, 2**62),
    "name": lambda d: d["columns"][0].update(name="\ud800"),
    "long name": lambda d: d["columns"][0].update(name="x" * 100_000),
    "hidden name": lambda d: d["columns"][0].update(name="a\u0000b"),
    "half a category": lambda d: _column(d, "category").update(
        counts={"\ud800": 1000, "card": d["rows"] - 1000}
    ),
}


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("side", ["current", "reference"])
def test_a_forged_profile_is_refused_or_compared_and_never_a_fault(
    ask: Ask, folders: Path, what: str, side: str
) -> None:
    other = f"{folders}/shared/same.parquet"
    bad = forged(FORGED[what])
    answer = ask(bad, other) if side == "current" else ask(other, bad)
    assert answer.status_code in (200, 422), answer.text
    answer.content.decode("utf-8")
    if answer.status_code == 422:
        assert answer.json()["field"]


def test_a_profile_that_unpacks_without_end_or_is_none_is_refused(ask: Ask, refuses: Any) -> None:
    deep = b'{"format":' + b"[" * 200_000
    for content in (
        zlib.compress(b"{" + b" " * (400 << 20), 9),
        zlib.compress(deep),
        deep,
        b"{}",
        b"xyz",
        zlib.compress(b'{"format": "trimtab.profile", "version": 1}')[:-4],
    ):
        refuses(ask(values(), packed(content)), 422, "invalid_input")
    body = refuses(ask(values(), {"profile": "%%%%"}), 422, "invalid_input")
    assert body["field"] == "reference_data.profile"
    windows = ask(packed(codec.to_bytes(profile_of(table(1)))), values(),
                  detection_config={"window_size": 10})  # fmt: skip
    assert refuses(windows, 422, "invalid_input")["field"] == "detection_config.window_size"


# --- tenants ------------------------------------------------------------------------


def test_a_tenant_reads_below_its_own_folder_and_no_other(
    ask: Ask, checked: House, refuses: Any, folders: Path
) -> None:
    own, theirs = (f"{folders}/tenants/{name}" for name in TENANTS)
    both = f"{own}/moved.parquet", f"{own}/reference.parquet"
    told = ask(*both, who="scientist-aa").json()
    assert (told["verdict"], told["tenant"]) == ("fail", "aa")
    assert ask(f"s3://{BUCKET}/aa/moved.parquet", both[1], who="scientist-aa").status_code == 200
    for address in (
        f"{theirs}/moved.parquet",
        f"{own}/../{TENANTS[1]}/moved.parquet",
        f"{folders}/shared/moved.parquet",
    ):
        refuses(ask(address, both[1], who="scientist-aa"), 409, "policy_refused")
    refuses(ask(f"s3://{BUCKET}/aa/moved.parquet", values(), who="scientist-ua"),
            409, "policy_refused")  # fmt: skip
    for tenant in ("ua", None):
        body = {"current_data": values(), "reference_data": values(), "tenant": tenant}
        with checked.http("scientist-aa") as http:
            answer = http.post(PATH, json=body)
        assert refuses(answer, 403, "not_permitted")["field"] == "tenant"
    told = ask(*both, tenant="aa").json()
    assert (told["tenant"], told["verdict"]) == ("aa", "fail"), "the fleet, about a tenant"
    refuses(ask(*both, tenant="nobody"), 404, "not_found")


@pytest.mark.parametrize("who", ["auditor", "gateway", "endpoint", "feed"])
def test_who_only_reads_or_serves_asks_for_no_check(ask: Ask, refuses: Any, who: str) -> None:
    refuses(ask(values(), values(), who=who), 403, "not_permitted")


# --- models -------------------------------------------------------------------------


def test_a_model_is_compared_with_what_its_stable_version_learnt_from(street: Street) -> None:
    model = street.of[None].model
    reference = street.world.parts
    with reference.records.look() as reading:
        version = registry.find_version(reading, model, "1.0.0")
    assert version is not None
    content = reference.blobs.read_verified(version.reference_digest, max_bytes=1 << 28)
    learnt = pq.read_table(io.BytesIO(content))
    features = ["distance_miles", "departure_hour", "carrier"]
    some = learnt.slice(0, 500).select(features).to_pydict()
    answers = [
        street.ask(who, "POST", PATH, json={"model_id": model, "current_data": {"columns": some}})
        for who in (street.fleet, street.program)
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert set(told["features"]) == set(features)
        assert told["rows_reference"] >= 500
    assert [answer.json()["tenant"] for answer in answers] == [None, OURS]
    shifted = {**some, "distance_miles": [x * 1.6 for x in some["distance_miles"]]}
    body = {"model_id": model, "current_data": {"columns": shifted}}
    told = street.ask(street.fleet, "POST", PATH, json=body).json()
    assert told["affected_features"][0]["name"] == "distance_miles"
    del shifted["carrier"]
    refused = street.ask(street.fleet, "POST", PATH, json=body)
    assert [one["field"] for one in refused.json()["errors"]] == ["carrier"]
    unknown = street.ask(street.fleet, "POST", PATH, json={**body, "features": ["weight"]})
    assert unknown.status_code == 422


def test_the_open_incident_of_a_feature_is_named_and_none_is_opened(street: Street) -> None:
    before = set(_incidents(street))
    model = street.of[None].model
    rng = np.random.default_rng(5)
    side = {"columns": {"distance_miles": rng.normal(500, 100, 600).tolist()}}
    moved = {"columns": {"distance_miles": rng.normal(900, 100, 600).tolist()}}
    body = {
        "model_id": model,
        "reference_data": side,
        "current_data": moved,
        "features": ["distance_miles"],
    }
    for who, owner in ((street.fleet, None), (street.program, OURS)):
        told = street.ask(who, "POST", PATH, json=body).json()
        assert told["drift_detected"], told
        visible = {
            name
            for name, (tenant, feature, known) in _incidents(street).items()
            if tenant in (None, owner) and (feature, known) == ("distance_miles", model)
        }
        assert (told["incident_id"] in visible) if visible else (told["incident_id"] is None)
        assert THEIRS not in json.dumps(told)
    assert set(_incidents(street)) == before


def _incidents(street: Street) -> dict[str, tuple[str | None, str | None, str]]:
    with street.world.parts.records.look() as reading:
        return {i.id: (i.tenant, i.feature, i.model) for i in incidents.active(reading)}


# --- many at once -------------------------------------------------------------------


def test_ten_at_once_are_answered_or_told_to_come_again_and_nobody_else_waits(
    ask: Ask, checked: House, folders: Path
) -> None:
    both = f"{folders}/shared/moved.parquet", f"{folders}/shared/reference.parquet"
    waited = []
    over = threading.Event()

    def look() -> None:
        with checked.http("endpoint") as http:
            while not over.is_set():
                answer = http.get("/api/ml/model/latest", params={"model": "none"})
                waited.append(answer.elapsed.total_seconds())
                assert answer.status_code == 404

    watcher = threading.Thread(target=look)
    watcher.start()
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: ask(*both), range(10)))
    over.set()
    watcher.join()
    assert {answer.status_code for answer in found} <= {200, 429}
    assert sum(answer.status_code == 200 for answer in found) >= 4
    for answer in found:
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) >= 1
    assert len(waited) > 10
    assert sorted(waited)[len(waited) // 2] < 1.0
    assert ask(*both).status_code == 200, "every turn was given back"


def test_the_client_comes_again_when_it_is_told_to(checked: House, folders: Path) -> None:
    patient = Persistence(tries=20)
    both = f"{folders}/shared/moved.parquet", f"{folders}/shared/reference.parquet"
    token = checked.tokens["data_scientist"]

    def check(_: int) -> str:
        with Client(checked.url, token=token, persistence=patient) as client:
            return client.monitoring.drift_check(*both).verdict

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(check, range(8))) == ["fail"] * 8


def test_a_tenant_has_half_of_the_turns_and_gives_them_back() -> None:
    turns = Turns(4, "checks")
    with turns.take("aa"), turns.take("aa"):
        with pytest.raises(TooManyRequests), turns.take("aa"):
            pass
        with turns.take(None), turns.take("ua"), pytest.raises(TooManyRequests), turns.take(None):
            pass
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.take("aa"):
            raise ZeroDivisionError
    one = Turns(1, "checks")
    with one.take("aa"), pytest.raises(TooManyRequests), one.take("ua"):
        pass
