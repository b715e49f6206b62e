"""An MLflow server, 2.x or 3.x, as a registry that is read.

    source = MlflowSource(url, Credentials.none(), limits=Limits(), networks=())
    page = source.models()

Only reads are sent, to the server itself; `mlflow_calls.PERMITTED` is all of them. A source is
opened for one cycle: what it knows of experiments it does not ask again, and its time is bounded
from its first moment on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from trimtab.integrations import mlflow_probe
from trimtab.integrations.mlflow_artifacts import Files, NotListed
from trimtab.integrations.mlflow_calls import API, PERMITTED, Calls, Limits, Missing
from trimtab.integrations.mlflow_credentials import Credentials
from trimtab.integrations.mlflow_details import Reader
from trimtab.integrations.mlflow_json import NotMlflow, Unfit, list_of
from trimtab.integrations.mlflow_pages import Chains, listed, model_of, version_of
from trimtab.inventory.source import (
    Details,
    Listed,
    Probe,
    SourceFile,
    SourceModel,
    SourceVersion,
)
from trimtab.kernel.errors import Unavailable
from trimtab.platform.outbound import Outbound, Query, ServerFailed, TooLarge
from trimtab.platform.outbound_addresses import Network

__all__ = ["Credentials", "Limits", "MlflowSource"]

_T = TypeVar("_T", SourceModel, SourceVersion)

_PLAIN_NAME = re.compile(r"[\w.:/@+()-]+( +[\w.:/@+()-]+)*")
_SMALLER = 4


class MlflowSource:
    """A `Source`. It is used from one thread, and asks with several.

    Args:
        url: The tracking URI, http or https; may have a path.
        credentials: What is sent to be let in.
        limits: Bounds.
        networks: Those that are allowed besides public addresses.
        ca_file: Certificates that are believed beside the usual ones.
        rest: Waits for so many seconds, between tries.

    Raises:
        InvalidInput: the address is none that can be spoken to, or the file of certificates is
            none.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        limits: Limits,
        networks: Sequence[Network],
        ca_file: Path | None = None,
        rest: Callable[[float], None] = time.sleep,
    ):
        self._credentials = credentials
        self._limits = limits
        self._calls = Calls(
            Outbound(
                url,
                PERMITTED,
                limits=limits.http,
                networks=networks,
                ca_file=ca_file,
                headers=credentials.headers,
                secrets=credentials.secrets,
                rest=rest,
            )
        )
        self._chains = Chains(limits.pages)
        self._sizes: dict[str, int] = {}
        self._files = Files(self._calls, limits)
        self._reader = Reader(self._calls, limits, self.version)

    def __repr__(self) -> str:
        return f"MlflowSource({self._calls.base})"

    def probe(self) -> Probe:
        """Look who answers, and as whom it knows us."""
        return mlflow_probe.probe(self._calls, self._credentials)

    def models(self, page: str | None = None) -> Listed[SourceModel]:
        """Registered models, with their aliases."""
        where, key = f"{API}/registered-models/search", "registered_models"
        items, token = self._page(where, key, {"order_by": "name ASC"}, page, "models")
        return listed(items, model_of, token, quote=self._calls.said)

    def versions(
        self, page: str | None = None, *, model: str | None = None
    ) -> Listed[SourceVersion]:
        """Versions of all models, or of one."""
        where, key = f"{API}/model-versions/search", "model_versions"
        query: dict[str, str | int | Sequence[str]] = {
            "order_by": ("name ASC", "version_number ASC")
        }
        if model is not None and _PLAIN_NAME.fullmatch(model):
            # Nothing escapes a quote in a filter: any other name is looked for among all.
            query["filter"] = f"name='{model}'"
        items, token = self._page(where, key, query, page, f"versions {model}")
        found = listed(items, version_of, token, quote=self._calls.said)
        if model is None:
            return found
        return Listed(
            tuple(one for one in found.items if one.name == model),
            tuple(one for one in found.malformed if one.name == model),
            found.next,
        )

    def model(self, name: str) -> SourceModel | None:
        """One registered model; None where the registry says that there is none."""
        item = self._one("registered-models", "registered_model", {"name": name})
        return None if item is None else self._taken(item, model_of, name)

    def version(self, name: str, version: int) -> SourceVersion | None:
        """One version; None where the registry says that there is none."""
        query: Query = {"name": name, "version": version}
        item = self._one("model-versions", "model_version", query)
        if item is None:
            return None
        found = self._taken(item, version_of, name)
        if found.version != version:
            raise NotMlflow("it answers with another version than was asked for")
        return found

    def details(self, versions: Sequence[SourceVersion]) -> Iterator[Details]:
        """What each of these leads to, in their order. What is wrong with one is a fault of
        that one."""
        return self._reader.details(versions)

    @contextmanager
    def content(self, version: SourceVersion, file: SourceFile) -> Iterator[Iterator[bytes]]:
        """The bytes of a file as they come; whoever reads decides how much of it to take.

        Raises:
            NotFound: there is no such file.
            Unavailable: it is not handed out, or the version has no files that could be.
        """
        try:
            path, query = self._files.address(self._reader.place(version), file.path)
        except NotListed as error:
            raise Unavailable(f"the file cannot be read: {error.reason}") from error
        with self._calls.stream(path, query) as chunks:
            yield chunks

    def close(self) -> None:
        """Let go of connections."""
        self._reader.close()
        self._calls.close()

    def _page(
        self, where: str, key: str, query: Query, page: str | None, chain: str
    ) -> tuple[list[Any], str | None]:
        """The items of a page, and the token of the next. Where it has too many bytes, or the
        server fails at it, fewer items are asked for: one of them is at fault."""
        most = self._sizes.get(chain, self._limits.page_items)
        while True:
            asked = {**query, "max_results": most, **({} if page is None else {"page_token": page})}
            try:
                answer = self._calls.get(where, asked)
                items = list_of(answer, key)
            except (TooLarge, ServerFailed):
                if most == 1:
                    raise
                most = max(1, most // _SMALLER)
                continue
            if len(items) > most:
                raise NotMlflow(f"it answers with {len(items)} items, where {most} were asked for")
            self._sizes[chain] = min(most * _SMALLER, self._limits.page_items)
            return items, self._chains.lead_on(chain, page, answer.get("next_page_token"))

    def _one(self, what: str, key: str, query: Query) -> Any:
        try:
            answer = self._calls.get(f"{API}/{what}/get", query)
        except Missing:
            return None
        if key not in answer:
            raise NotMlflow(f"its answer has no {key}")
        return answer[key]

    def _taken(self, item: Any, take: Callable[[Any], _T], name: str) -> _T:
        try:
            found = take(item)
        except Unfit as error:
            raise NotMlflow(f"what was asked for cannot be read: {error}") from None
        if found.name != name:
            raise NotMlflow("it answers with something else than was asked for")
        return found
