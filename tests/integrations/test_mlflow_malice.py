"""A registry that means no good: what it can do is a fault of one version, or ends what is asked;
it never costs more than a bound, reaches another host, or passes for something that was read."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from tests.mlflow_server import simulator as tricks
from tests.mlflow_server.simulator import (
    API,
    PROXY,
    SCRIPT,
    Reply,
    Request,
    Simulator,
    always,
    model,
    models_page,
    run,
    version,
    versions_page,
)

from trimtab.integrations.mlflow import Credentials, Limits, MlflowSource
from trimtab.integrations.mlflow_artifacts import safe_path
from trimtab.integrations.mlflow_json import NotMlflow, read_object
from trimtab.inventory.source import Details, Part, SourceFile, SourceVersion
from trimtab.kernel.errors import InvalidInput, NotAuthenticated, PolicyRefused, Unavailable
from trimtab.platform import outbound

MODELS = f"GET {API}/registered-models/search"
VERSIONS = f"GET {API}/model-versions/search"
RUNS = f"POST {API}/runs/search"
QUICK = outbound.Limits(first_pause_seconds=0.001, most_pause_seconds=0.01, request_seconds=5)
TOKEN = "canary-of-a-token"


@pytest.fixture
def evil() -> Iterator[Simulator]:
    with Simulator() as server:
        yield server


@pytest.fixture
def source(evil: Simulator) -> Iterator[MlflowSource]:
    yield from opened(evil, Limits(http=QUICK))


def opened(evil: Simulator, limits: Limits) -> Iterator[MlflowSource]:
    found = MlflowSource(
        evil.url,
        Credentials.bearer(TOKEN),
        limits=limits,
        networks=(ip_network("127.0.0.0/8"),),
    )
    yield found
    found.close()


def details_of(source: MlflowSource, /, **changed: Any) -> Details:
    """What one version leads to, that says of itself what is given."""
    document = version("model-0", 1, **changed)
    (found,) = source.details([SourceVersion("model-0", 1, document)])
    return found


def test_one_that_behaves_is_read_whole(source: MlflowSource) -> None:
    versions = source.versions().items
    assert [one.name for one in source.models().items] == ["model-0", "model-1", "model-2"]
    assert len(versions) == 6
    for one, found in zip(versions, source.details(versions), strict=True):
        assert found.faults == ()
        assert found.run is not None
        assert found.run["info"]["run_id"] == one.document["run_id"]
        assert found.experiment is not None
        assert found.listing is not None
        assert [file.path for file in found.listing.files] == ["MLmodel", "model.onnx"]
        with source.content(one, found.listing.files[1]) as chunks:
            assert b"".join(chunks) == b"\x08\x07"


def test_pages_that_never_end(evil: Simulator) -> None:
    evil.answers[VERSIONS] = tricks.endless_pages
    (source,) = opened_now(evil, Limits(http=QUICK, pages=20))
    with pytest.raises(Unavailable, match="does not end after 20 pages"):
        walk(source)
    assert len(evil.requests) == 20
    source.close()


def opened_now(evil: Simulator, limits: Limits) -> tuple[MlflowSource]:
    return (
        MlflowSource(
            evil.url,
            Credentials.none(),
            limits=limits,
            networks=(ip_network("127.0.0.0/8"),),
        ),
    )


def walk(source: MlflowSource) -> int:
    """Read all pages; how many there were."""
    page, count = None, 0
    while True:
        listed = source.versions(page)
        count, page = count + 1, listed.next
        if page is None:
            return count


def test_pages_in_a_circle(evil: Simulator, source: MlflowSource) -> None:
    evil.answers[VERSIONS] = tricks.circling_pages
    with pytest.raises(Unavailable, match="a token came twice"):
        walk(source)
    assert len(evil.requests) == 3


def test_the_same_token_again(evil: Simulator, source: MlflowSource) -> None:
    evil.answers[VERSIONS] = versions_page(version("m", 1), token="again")
    with pytest.raises(Unavailable, match="a token came twice"):
        walk(source)
    assert len(evil.requests) == 2


def test_a_page_may_be_asked_for_again(evil: Simulator, source: MlflowSource) -> None:
    evil.answers[VERSIONS] = tricks.endless_pages
    first = source.versions()
    assert source.versions(first.next) == source.versions(first.next)
    assert source.versions() == first


@pytest.mark.parametrize("token", [5, ["a"], {"a": 1}, True, "x" * 10_000])
def test_a_token_that_is_none(evil: Simulator, source: MlflowSource, token: Any) -> None:
    evil.answers[VERSIONS] = versions_page(version("m", 1), token=token)
    with pytest.raises(Unavailable, match="token"):
        source.versions()


def test_more_items_than_were_asked_for(evil: Simulator) -> None:
    evil.answers[VERSIONS] = versions_page(*(version("m", n + 1) for n in range(11)))
    (source,) = opened_now(evil, Limits(http=QUICK, page_items=10))
    with pytest.raises(Unavailable, match="11 items, where 10"):
        source.versions()
    source.close()


BAD: list[Any] = [
    None,
    5,
    "text",
    [],
    {},
    {"version": "1"},
    version("", 1),
    version("\x00", 1),
    version("\ud800", 1),
    version("m", 1) | {"name": 5},
    version("m", 0),
    version("m", -1),
    version("m", 1) | {"version": "1.0"},
    version("m", 1) | {"version": "\u0661"},
    version("m", 1) | {"version": "9" * 40},
    version("m", 1) | {"version": True},
    version("m", 1, creation_timestamp="yesterday"),
    version("m", 1, creation_timestamp=1.5),
    version("m", 1, last_updated_timestamp=True),
    version("m", 1, last_updated_timestamp=10**50),
    version("m", 1, source=["s3://bucket"]),
    version("m", 1, run_id=7),
    version("m", 1, tags={"a": "b"}),
    version("m", 1, tags=[{"key": 1, "value": "b"}]),
    version("m", 1, tags=["a"]),
    version("m", 1, deep=json.loads("[" * 100 + "]" * 100)),
    version("m", 1, **{"a\x00b": 1}),
]


@pytest.mark.parametrize("bad", BAD)
def test_one_bad_item_does_not_spoil_its_page(
    evil: Simulator, source: MlflowSource, bad: Any
) -> None:
    good = [version("m", number) for number in (1, 2, 3)]
    evil.answers[VERSIONS] = versions_page(good[0], bad, *good[1:])
    page = source.versions()
    assert [one.version for one in page.items] == [1, 2, 3]
    (malformed,) = page.malformed
    assert malformed.reason
    if isinstance(bad, dict) and bad.get("name") == "m":
        assert malformed.name == "m"


def test_one_bad_item_of_ten_thousand(evil: Simulator) -> None:
    items: list[Any] = [version("m", n + 1) for n in range(10_000)]
    items[4711] = "bad"
    evil.answers[VERSIONS] = versions_page(*items)
    (source,) = opened_now(evil, Limits(http=QUICK, page_items=10_000))
    page = source.versions()
    assert (len(page.items), len(page.malformed)) == (9_999, 1)
    source.close()


def test_a_key_that_stands_there_twice_spoils_its_item_alone(
    evil: Simulator, source: MlflowSource
) -> None:
    twice = b'{"name": "m", "version": "1", "tags": [{"key": "a", "key": "b"}]}'
    good = json.dumps(version("m", 2)).encode()
    evil.answers[VERSIONS] = always(b'{"model_versions": [%s, %s]}' % (twice, good))
    page = source.versions()
    assert [one.version for one in page.items] == [2]
    assert "twice" in page.malformed[0].reason
    assert page.malformed[0].version == 1


@pytest.mark.parametrize(
    "answer",
    [
        tricks.login_page,
        always(b""),
        always(b"null"),
        always(b"[]"),
        always(b'"text"'),
        always(b'{"a": 1, "a": 2}'),
        always(b"{" * 100_000),
        always(b'{"registered_models": ' + b"[" * 100_000),
        always(b"\xff\xfe{}"),
        always({"registered_models": {"name": "m"}}),
        always({"registered_models": "none"}),
        always({"registered_models": 0}),
        always({"error": "please sign in"}),
        always({"message": "ok"}, 204),
        always(b"<html>", 404),
        always({"error_code": "ENDPOINT_NOT_FOUND"}, 404),
        tricks.redirect("https://login.example/"),
        tricks.redirect(tricks.METADATA),
    ],
)
def test_what_is_no_registry_is_never_taken_for_an_empty_one(
    evil: Simulator, source: MlflowSource, answer: tricks.Answer
) -> None:
    for asked in list(evil.answers):
        evil.answers[asked] = answer
    for ask in (source.models, source.versions, source.probe):
        with pytest.raises(Unavailable):
            ask()
    with pytest.raises(Unavailable):
        source.model("m")
    with pytest.raises(Unavailable):
        source.version("m", 1)


def test_an_answer_about_something_else(evil: Simulator, source: MlflowSource) -> None:
    evil.answers[f"GET {API}/model-versions/get"] = always({"model_version": version("m", 2)})
    evil.answers[f"GET {API}/registered-models/get"] = always({"registered_model": model("m")})
    for name, number in (("m", 1), ("other", 2)):
        with pytest.raises(Unavailable):
            source.version(name, number)
    with pytest.raises(Unavailable):
        source.model("other")


def test_names_and_texts_are_data(evil: Simulator, source: MlflowSource) -> None:
    names = ["../../x", "%00", "x" * 10_240, "__proto__", SCRIPT, "\u202e", "a\nb", "'; --"]
    evil.answers[MODELS] = models_page(
        *(
            model(name, description=SCRIPT, tags=[{"key": SCRIPT, "value": "a\x00b"}])
            for name in names
        )
    )
    page = source.models()
    assert [one.name for one in page.items] == names
    assert page.malformed == ()
    assert page.items[0].document["description"] == SCRIPT
    assert page.items[0].document["tags"][0]["value"] == "a\ufffdb"


@pytest.mark.parametrize("moment", [0, -1, 1 << 63, 99_999_999_999_999])
def test_times_are_kept_as_they_came(evil: Simulator, source: MlflowSource, moment: int) -> None:
    evil.answers[VERSIONS] = versions_page(version("m", 1, creation_timestamp=moment))
    assert source.versions().items[0].document["creation_timestamp"] == moment


def test_numbers_that_are_none(evil: Simulator, source: MlflowSource) -> None:
    raw = b"""{"runs": [{"info": {"run_id": "run-model-0-1", "experiment_id": "1"}, "data":
        {"metrics": [%s]}}]}"""
    values = [b'"NaN"', b"NaN", b"1e999", b"-1e999", b"1.7976931348623157e+308", b'"-Infinity"']
    items = b",".join(b'{"key": "k%d", "value": %s}' % pair for pair in enumerate(values))
    evil.answers[RUNS] = always(raw % items)
    run_ = details_of(source).run
    assert run_ is not None
    found = [one["value"] for one in run_["data"]["metrics"]]
    assert all(isinstance(value, float) for value in found)
    assert list(map(math.isnan, found)) == [True, True, False, False, False, False]
    assert found[2:] == [math.inf, -math.inf, math.inf, -math.inf]


def test_a_number_of_ten_million_digits_takes_no_time() -> None:
    began = time.monotonic()
    for text in (b"9" * 10_000_000, b"0." + b"9" * 10_000_000, b"-" + b"1" * 10_000_000 + b"e5"):
        found = read_object(b'{"a": %s}' % text)["a"]
        assert isinstance(found, float)
    assert time.monotonic() - began < 5


def test_an_answer_of_too_many_values_is_not_even_read() -> None:
    with pytest.raises(NotMlflow, match="more than 2000000 values"):
        read_object(b'{"a": [' + b"[]," * 3_000_000 + b"1]}")


def test_a_hundred_thousand_metrics(evil: Simulator, source: MlflowSource) -> None:
    metrics = [{"key": f"m{n}", "value": n, "timestamp": 1, "step": 0} for n in range(100_000)]
    evil.answers[RUNS] = always({"runs": [run("run-model-0-1", metrics=metrics)]})
    found = details_of(source).run
    assert found is not None
    assert len(found["data"]["metrics"]) == 100_000


@pytest.mark.parametrize("answer", [tricks.huge_body, tricks.endless_body, tricks.gzip_bomb])
def test_a_run_that_is_too_large_is_a_fault_of_its_version_alone(
    evil: Simulator, source: MlflowSource, answer: tricks.Answer
) -> None:
    well = evil.answers[RUNS]
    evil.answers[RUNS] = lambda r: (answer if "model-1-2'" in r.body["filter"] else well)(r)
    evil.answers[f"GET {API}/runs/get"] = answer
    versions = source.versions().items
    found = list(source.details(versions))
    bad = [one for one, told in zip(versions, found, strict=True) if told.faults]
    assert [(one.name, one.version) for one in bad] == [("model-1", 2)]
    (fault,) = found[3].faults
    assert (fault.part, fault.passing) == (Part.RUN, True)
    assert found[3].listing is not None


def test_a_drip_is_a_fault_in_time(evil: Simulator) -> None:
    evil.answers[PROXY.join(["GET ", ""])] = tricks.dripping_body
    quick = outbound.Limits(request_seconds=0.3, tries=1)
    (source,) = opened_now(evil, Limits(http=quick))
    began = time.monotonic()
    found = details_of(source)
    assert time.monotonic() - began < 5
    assert [(fault.part, fault.passing) for fault in found.faults] == [(Part.ARTIFACTS, True)]
    source.close()


def test_one_that_stops_answering_is_given_up(evil: Simulator) -> None:
    (source,) = opened_now(evil, Limits(http=QUICK, failures_in_a_row=3, batch_versions=2))
    versions = source.versions().items * 20
    source_details = source.details(versions)
    next(source_details)
    for asked in list(evil.answers):
        evil.answers[asked] = always(b"", 503)
    before = len(evil.requests)
    with pytest.raises(Unavailable, match="in a row"):
        list(source_details)
    assert len(evil.requests) - before < 60
    source.close()


def test_a_store_of_files_that_is_down_takes_nothing_else_with_it(evil: Simulator) -> None:
    """The server answers for all but files: these are given up, and the rest is read."""
    (source,) = opened_now(evil, Limits(http=QUICK, failures_in_a_row=3, batch_versions=20))
    versions = source.versions().items * 20
    listings = [asked for asked in evil.answers if "artifacts" in asked]
    assert listings
    for asked in listings:
        evil.answers[asked] = always(b"", 504)
    before = len(evil.requests)
    found = list(source.details(versions))
    assert len(found) == len(versions)
    assert all(one.run is not None and one.listing is None for one in found)
    told = {(fault.part, fault.passing) for one in found for fault in one.faults}
    assert told == {(Part.ARTIFACTS, True)}
    asked_for = [str(one) for one in evil.requests[before:]]
    tries = QUICK.tries * (3 + Limits().http.connections)
    assert 0 < sum("artifacts" in one for one in asked_for) <= tries
    source.close()


FOREIGN = [
    "http://other.example/api/2.0/mlflow-artifacts/artifacts/1",
    "mlflow-artifacts://other.example/1/2",
    "http:///#/../../etc/",
    "file:///etc/passwd",
    "//proc/self/root",
    "/etc",
    "..\\..\\etc",
    "s3://bucket/x",
    "dbfs:/x",
    "",
    "models:/name@alias",
    "models:/name/0",
    "models:/name/latest",
]
ESCAPING = [
    "mlflow-artifacts:/../../etc",
    "mlflow-artifacts:/1/%2e%2e%2f%2e%2e/etc",
    "mlflow-artifacts:/1/%252e%252e/etc",
    "mlflow-artifacts:/1/..\\..",
    "mlflow-artifacts:/1//2",
    "mlflow-artifacts:/1/\x00",
    "models:/m-1/../../x",
    "runs:/run/../../x",
    "runs:/run/%2e%2e/x",
]


@pytest.mark.parametrize("address", [*FOREIGN, *ESCAPING])
def test_addresses_are_inert(evil: Simulator, source: MlflowSource, address: str) -> None:
    found = details_of(source, source=address)
    assert found.listing is None
    (fault,) = [one for one in found.faults if one.part is Part.ARTIFACTS]
    assert not fault.passing
    assert not [one for one in evil.requests if "artifact" in one.path]
    one = SourceVersion("model-0", 1, version("model-0", 1, source=address))
    with pytest.raises(Unavailable), source.content(one, SourceFile("MLmodel", 1)):
        pass
    assert not [request for request in evil.requests if "artifact" in request.path]


PATHS = ["", "/etc", "../x", "a/../../x", "a//b", "./a", "a/", "a\\b", "a\x00b", "a\nb", "%2e%2e/x"]
PATHS += ["a%2f..%2fx", "%252e%252e/x", "%00", "a%5cb", "%25252525252e", "x" * 2000, "\u202e"]


@pytest.mark.parametrize("path", [*PATHS, 5, None, ["a"]])
def test_a_path_of_a_listing_that_is_none(evil: Simulator, source: MlflowSource, path: Any) -> None:
    assert not safe_path(path)
    entries = [{"path": path, "file_size": 1}, {"path": "MLmodel", "file_size": 12}]
    evil.answers[f"GET {PROXY}"] = tricks.listing(*entries)
    found = details_of(source)
    assert found.listing is not None
    assert [file.path for file in found.listing.files] == ["MLmodel"]
    assert found.listing.truncated is not None  # what was left out may be what is loaded
    assert "left out: its path is none below the version" in found.listing.truncated
    (fault,) = found.faults
    assert (fault.part, fault.passing) == (Part.ARTIFACTS, False)
    if isinstance(path, str):
        before = len(evil.requests)
        one = SourceVersion("model-0", 1, version("model-0", 1))
        with pytest.raises(Unavailable), source.content(one, SourceFile(path, 1)):
            pass
        assert not [r for r in evil.requests[before:] if r.path.startswith(PROXY)]


@pytest.mark.parametrize(
    "path", ["a", "a b/c.txt", "100%", "50%25", "r\u00e9sum\u00e9", "...", "a..b"]
)
def test_a_path_of_a_listing(path: str) -> None:
    assert safe_path(path)


@pytest.mark.parametrize("size", [-1, 1.5, "big", True, 1 << 70, [1]])
def test_a_size_that_is_none(evil: Simulator, source: MlflowSource, size: Any) -> None:
    evil.answers[f"GET {PROXY}"] = tricks.listing({"path": "a", "file_size": size})
    found = details_of(source)
    assert found.listing is not None
    assert found.listing.files == ()
    assert found.listing.truncated is not None
    assert len(found.faults) == 1


def test_folders_without_end(evil: Simulator) -> None:
    evil.answers[f"GET {PROXY}"] = tricks.nested_folders
    (source,) = opened_now(evil, Limits(http=QUICK, listing_directories=30))
    found = details_of(source)
    assert found.listing is not None
    assert found.listing.truncated == "more than 30 folders"
    assert len([one for one in evil.requests if one.path == PROXY]) < 30
    source.close()


def test_files_without_end(evil: Simulator) -> None:
    many = [{"path": f"f{number:05}", "file_size": 1} for number in range(500)]
    evil.answers[f"GET {PROXY}"] = tricks.listing(*many)
    (source,) = opened_now(evil, Limits(http=QUICK, listing_files=100))
    found = details_of(source)
    assert found.listing is not None
    assert (len(found.listing.files), found.listing.truncated) == (100, "more than 100 files")
    source.close()


def test_versions_that_lead_to_each_other(evil: Simulator, source: MlflowSource) -> None:
    def chained(request: Request) -> Reply:
        name, number = request.query["name"], int(request.query["version"])
        step = {"circle": 1 + number % 3, "endless": number + 1}[name]
        return Reply({"model_version": version(name, number, source=f"models:/{name}/{step}")})

    evil.answers[f"GET {API}/model-versions/get"] = chained
    assert "leads back to itself" in details_of(source, source="models:/circle/1").faults[0].reason
    assert "over more than 10" in details_of(source, source="models:/endless/1").faults[0].reason
    assert len(evil.requests) < 40


def test_what_repeats_our_token_is_redacted(evil: Simulator, source: MlflowSource) -> None:
    for asked in list(evil.answers):
        evil.answers[asked] = tricks.echo_secrets
    for ask in (source.models, source.versions, source.probe):
        with pytest.raises(Unavailable) as refused:
            ask()
        assert TOKEN not in f"{refused.value!r} {refused.value}"
        assert "[redacted]" in f"{refused.value}"
    evil.answers[f"POST {API}/experiments/search"] = always({})
    assert TOKEN not in repr(details_of(source))
    assert TOKEN not in repr(source)
    assert TOKEN not in repr(Credentials.bearer(TOKEN))
    assert "password" not in repr(Credentials.basic("somebody", "password"))


def test_only_reads_are_sent(source: MlflowSource, evil: Simulator) -> None:
    for method, path in (
        ("POST", f"{API}/registered-models/create"),
        ("DELETE", f"{API}/registered-models/delete"),
        ("PATCH", f"{API}/model-versions/update"),
        ("POST", f"{API}/runs/log-metric"),
        ("GET", f"{API}/registered-models/delete"),
        ("GET", f"{PROXY}/../../../etc"),
        ("GET", f"{PROXY}/a%2fb"),
        ("PUT", f"{PROXY}/a"),
        ("POST", "/graphql"),
        ("GET", "/"),
    ):
        with pytest.raises(PolicyRefused):
            source._calls._http.ask(method, path)
    assert not evil.requests


def test_refused_credentials_end_it(evil: Simulator, source: MlflowSource) -> None:
    versions = source.versions().items
    evil.answers[RUNS] = always(b"no", 401)
    with pytest.raises(NotAuthenticated):
        list(source.details(versions))


def test_what_is_not_permitted_is_a_fault_that_may_pass(
    evil: Simulator, source: MlflowSource
) -> None:
    evil.answers[f"GET {PROXY}"] = always(b"no", 403)
    (fault,) = details_of(source).faults
    assert (fault.part, fault.passing) == (Part.ARTIFACTS, True)


@pytest.mark.parametrize(
    "made",
    [
        lambda: Credentials.bearer("two\nlines"),
        lambda: Credentials.bearer(""),
        lambda: Credentials.bearer("r\u00e9"),
        lambda: Credentials.basic("a:b", "c"),
        lambda: Credentials.basic("a", "c\r\nX: y"),
        lambda: Credentials.of_headers({"X-A": "b\r\nY: c"}),
        lambda: Credentials.of_headers({"X A": "b"}),
        lambda: Credentials.of_headers({"Host": "b"}),
    ],
)
def test_credentials_that_cannot_be_sent(made: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        made()
    assert refused.value.field


def test_a_registered_model_that_is_called_like_a_logged_one(
    evil: Simulator, source: MlflowSource
) -> None:
    origin = version("m-1", 2, source="mlflow-artifacts:/1/files")
    evil.answers[f"GET {API}/model-versions/get"] = always({"model_version": origin})
    found = details_of(source, source="models:/m-1/2")
    assert found.faults == ()
    assert found.logged_model is None
    assert found.listing is not None
    assert found.listing.root == "mlflow-artifacts:/1/files"
