"""Calls to an MLflow server: which there are, and what their answers mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from trimtab.integrations.mlflow_json import NotMlflow, read_object
from trimtab.kernel.errors import Unavailable
from trimtab.platform import outbound
from trimtab.platform.outbound import Answer, Outbound, Query
from trimtab.platform.outbound_transport import Permitted

API = "/api/2.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
RIGHTS = "/api/3.0/mlflow/users/current/permissions"
LOGGED_FILES = "/ajax-api/2.0/mlflow/logged-models/{}/artifacts/files"

_ID = "[A-Za-z0-9_-]{1,256}"
_INERT = r"(?!.*(?:%2[eEfF]|%5[cC]|%00|//|/\.\.?(?:/|$)))"

PERMITTED: Permitted = (
    ("GET", re.compile("/version|/health")),
    ("GET", re.compile(f"{API}/(registered-models|model-versions)/(search|get)")),
    ("GET", re.compile(f"{API}/(runs|experiments|users)/get")),
    ("GET", re.compile(RIGHTS)),
    ("GET", re.compile(f"{API}/artifacts/list|/get-artifact")),
    ("GET", re.compile(f"{API}/logged-models/{_ID}(/artifacts/directories)?")),
    ("GET", re.compile(LOGGED_FILES.format(_ID))),
    ("GET", re.compile(f"{_INERT}{PROXY}(/.+)?")),
    ("POST", re.compile(f"{API}/(experiments|runs|logged-models)/search")),
)
"""All that is ever sent to an MLflow server. Nothing of it changes anything there."""

_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})


@dataclass(frozen=True)
class Limits:
    """Bounds of reading from one MLflow server; `http` has those of each request."""

    http: outbound.Limits = field(default_factory=outbound.Limits)
    page_items: int = 1000
    """Models or versions that are asked for at once."""
    pages: int = 20_000
    """Of one list."""
    experiments: int = 5_000
    """Known at once; where there are more, each run is asked for by itself."""
    batch_versions: int = 100
    """Whose details are read together, and held until they are handed on."""
    listing_files: int = 10_000
    listing_directories: int = 200
    listing_depth: int = 20
    """Of one version."""
    chain_versions: int = 10
    """That may lead from one to the next until there are files."""
    failures_in_a_row: int = 5
    """Requests without an answer, each after all its tries, until it is all given up; listings of
    files are counted, and given up, by themselves."""
    addresses: int = 20_000
    """Of versions' files, remembered from their listing for the reading of a file."""


class Missing(Unavailable):
    """The server says that there is no such thing."""


class Refused(Unavailable):
    """The server says that it cannot be asked so."""


class Calls:
    """Speaks to one server, and reads what it answers.

    Its methods raise what `Outbound.ask` raises; `Missing` and `Refused` for what the server
    says of the thing that is asked for; `NotMlflow` for what no MLflow server answers.
    """

    def __init__(self, http: Outbound):
        self._http = http

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return self._http.origin

    @property
    def netloc(self) -> str:
        """Host, and port where it is none of the usual."""
        return self._http.base.netloc.decode("ascii")

    @property
    def base(self) -> str:
        """The whole base address, without a slash at its end."""
        return str(self._http.base).rstrip("/")

    def plain(self, path: str) -> Answer:
        """The answer to GET, whatever it is."""
        return self._http.ask("GET", path)

    def get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """The object that answers GET."""
        return self._read(self._http.ask("GET", path, query=query))

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """The object that answers a search."""
        return self._read(self._http.ask("POST", path, body=body))

    def stream(self, path: str, query: Query | None = None) -> AbstractContextManager[Any]:
        """The bytes that answer GET."""
        return self._http.stream(path, query=query)

    def said(self, text: str | bytes) -> str:
        """A text of the server as it may be quoted."""
        return self._http.said(text)

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def _read(self, answer: Answer) -> dict[str, Any]:
        if answer.status == 200:
            return read_object(answer.body)
        shown = f"status {answer.status}: {self._http.said(answer.body)}"
        if 400 <= answer.status < 500:
            code = read_object(answer.body).get("error_code")
            if answer.status == 404 and code in _MISSING:
                raise Missing(f"MLflow says that it does not exist, {shown}")
            if isinstance(code, str) and code != "ENDPOINT_NOT_FOUND":
                raise Refused(f"MLflow refuses the question, {shown}")
        raise NotMlflow(shown)
