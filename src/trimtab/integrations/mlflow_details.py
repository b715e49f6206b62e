"""What versions lead to: runs, experiments and logged models by as few questions as there can be,
files by one for each folder."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trimtab.integrations.mlflow_artifacts import (
    Files,
    NotListed,
    Place,
    logged_model_of,
    place_of,
)
from trimtab.integrations.mlflow_calls import API, Calls, Limits, Missing, Refused
from trimtab.integrations.mlflow_json import NotMlflow, Unfit, fit, list_of, with_numbers
from trimtab.inventory.source import Details, Document, Fault, Listing, Part, SourceVersion
from trimtab.kernel.errors import NotPermitted, Unavailable
from trimtab.platform.outbound import NoAnswer, ServerFailed, TooLarge

_T = TypeVar("_T")

_PLAIN_ID = re.compile("[A-Za-z0-9_-]{1,128}")
_ALL = "ALL"
_MOST_LOGGED = 50
_Batch = Mapping[str, Document]


@dataclass
class _Read:
    """What was read for one version so far."""

    run: Document | None = None
    experiment: Document | None = None
    logged: Document | None = None
    place: Place | None = None
    faults: list[Fault] = field(default_factory=list)

    def fault(self, part: Part, error: Exception) -> None:
        reason = error.reason if isinstance(error, NotListed) else str(error)
        passing = not isinstance(error, Missing | Refused | NotListed)
        self.faults.append(Fault(part, reason, passing))


class Reader:
    """Reads the details of versions.

    Args:
        calls: The server.
        limits: Bounds.
        version: Reads one version, for those that name another one as their source.
    """

    def __init__(
        self,
        calls: Calls,
        limits: Limits,
        version: Callable[[str, int], SourceVersion | None],
    ):
        self._calls = calls
        self._limits = limits
        self._version = version
        self._files = Files(calls, limits)
        self._experiments: dict[str, Document] | None = None
        self._many = False
        self._places: OrderedDict[tuple[str, int, str], Place] = OrderedDict()
        self._lock = threading.Lock()
        self._failures = 0
        self._unlisted = 0
        self._pool = ThreadPoolExecutor(limits.http.connections, "mlflow")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def details(self, versions: Sequence[SourceVersion]) -> Iterator[Details]:
        """As `Source.details`."""
        step = self._limits.batch_versions
        for first in range(0, len(versions), step):
            yield from self._batch(versions[first : first + step])

    def place(self, version: SourceVersion) -> Place:
        """Where the files of a version are.

        Raises:
            NotListed: nowhere that the server could be asked about.
            Unavailable: the server does not tell.
        """
        with self._lock:
            known = self._places.get(_key(version))
        if known is not None:
            return known
        read = _Read()
        run_id = version.document.get("run_id") or ""
        if run_id:
            try:
                read.run = self._one_run(run_id)
            except Missing:
                read.run = None  # its files may be elsewhere
        return self._placed(version, read)

    def _batch(self, versions: Sequence[SourceVersion]) -> list[Details]:
        self._know_experiments()
        read = [_Read() for _ in versions]
        ids = [str(version.document.get("run_id") or "") for version in versions]
        self._join(Part.RUN, "run", ids, read, self._runs(set(ids) - {""}), self._one_run)
        list(self._pool.map(self._find_place, versions, read))
        models = [_logged_id(version, one) for version, one in zip(versions, read, strict=True)]
        found = self._logged(set(models) - {""})
        self._join(Part.LOGGED_MODEL, "logged", models, read, found, self._one_logged)
        homes = [_experiment_id(one) for one in read]
        known = self._experiments or {}
        self._join(Part.EXPERIMENT, "experiment", homes, read, known, self._one_experiment)
        done = list(self._pool.map(self._finished, read))
        self._demand_answers()
        return done

    def _join(
        self,
        part: Part,
        name: str,
        ids: Sequence[str],
        read: Sequence[_Read],
        found: _Batch,
        one: Callable[[str], Document],
    ) -> None:
        """Give each what belongs to it; what the search did not find is asked for by itself, so
        that it is the server that says that there is no such thing."""
        missing = {id_ for id_ in ids if id_ and id_ not in found}
        alone = dict(zip(missing, self._pool.map(self._tried(one), missing), strict=True))
        for id_, target in zip(ids, read, strict=True):
            if id_ in found:
                setattr(target, name, found[id_])
            elif id_:
                answer = alone[id_]
                if isinstance(answer, Exception):
                    target.fault(part, answer)
                else:
                    setattr(target, name, answer)
        self._demand_answers()

    def _tried(self, one: Callable[[str], Document]) -> Callable[[str], Document | Exception]:
        def tried(id_: str) -> Document | Exception:
            try:
                return self._counted(lambda: one(id_))
            except (Unavailable, NotPermitted) as error:
                return error

        return tried

    def _counted(self, asked: Callable[[], _T]) -> _T:
        """The answer; a server that does not answer at all is given up after some questions."""
        with self._lock:
            if self._failures >= self._limits.failures_in_a_row:
                raise NoAnswer(f"{self._calls.origin} did not answer several questions in a row")
        try:
            answer = asked()
        except NoAnswer:
            with self._lock:
                self._failures += 1
            raise
        except (Unavailable, NotPermitted):
            self._failures = 0
            raise
        self._failures = 0
        return answer

    def _demand_answers(self) -> None:
        if self._failures >= self._limits.failures_in_a_row:
            self._failures = 0
            raise NoAnswer(
                f"{self._calls.origin} did not answer {self._limits.failures_in_a_row} questions "
                "in a row",
                remedy="check that the server is running; what was read is kept",
            )

    def _find_place(self, version: SourceVersion, read: _Read) -> None:
        try:
            read.place = self._counted(lambda: self._placed(version, read))
        except (Unavailable, NotPermitted, NotListed) as error:
            read.fault(Part.ARTIFACTS, error)

    def _finished(self, read: _Read) -> Details:
        listing = None
        if read.place is not None:
            place = read.place
            try:
                listing, odd = self._listed(place)
                read.faults += [Fault(Part.ARTIFACTS, one, passing=False) for one in odd]
            except (Unavailable, NotPermitted) as error:
                read.fault(Part.ARTIFACTS, error)
        return Details(read.run, read.experiment, read.logged, listing, tuple(read.faults))

    def _listed(self, place: Place) -> tuple[Listing, tuple[str, ...]]:
        """The files that lie there. They are in a store behind the server, which can be down
        while the server is not: it is given up by itself, and what else is read goes on."""
        with self._lock:
            if self._unlisted >= self._limits.failures_in_a_row:
                raise NoAnswer(f"{self._calls.origin} listed no files several times in a row")
        try:
            found = self._files.listing(place)
        except NoAnswer:
            with self._lock:
                self._unlisted += 1
            raise
        except (Unavailable, NotPermitted):
            self._unlisted = 0
            raise
        self._unlisted = 0
        return found

    def _placed(self, version: SourceVersion, read: _Read) -> Place:
        """Where its files are, over versions that name others as their source."""
        source, run = str(version.document.get("source") or ""), read.run
        seen = {(version.name, version.version)}
        while source.startswith("models:/") and logged_model_of(source) is None:
            name, _, number = source.removeprefix("models:/").rpartition("/")
            if not name or not re.fullmatch("[1-9][0-9]{0,17}", number):
                raise NotListed("its source names another model, but no version of it")
            step = (name, int(number))
            if step in seen:
                raise NotListed("its source leads back to itself, from version to version")
            seen.add(step)
            if len(seen) > self._limits.chain_versions + 1:
                raise NotListed(
                    f"its source leads on over more than {self._limits.chain_versions} versions"
                )
            found = self._version(*step)
            if found is None:
                raise NotListed("its source names a version that does not exist")
            source = str(found.document.get("source") or "")
            other = found.document.get("run_id") or ""
            if other and other != version.document.get("run_id"):
                run = self._perhaps_run(other)
        place = place_of(source, run, self._calls)
        with self._lock:
            self._places[_key(version)] = place
            while len(self._places) > self._limits.addresses:
                self._places.popitem(last=False)
        return place

    def _perhaps_run(self, run_id: str) -> Document | None:
        try:
            return self._one_run(run_id)
        except Missing:
            return None

    def _runs(self, ids: set[str]) -> dict[str, Document]:
        """Those of the runs that a search finds."""
        plain = sorted(id_ for id_ in ids if _PLAIN_ID.fullmatch(id_))
        if self._many or not plain or not self._experiments:
            return {}

        def search(some: Sequence[str]) -> Iterable[Any]:
            quoted = ", ".join(f"'{id_}'" for id_ in some)
            body = {
                "experiment_ids": list(self._experiments or ()),
                "filter": f"attributes.run_id IN ({quoted})",
                "run_view_type": _ALL,
                "max_results": len(some),
            }
            return list_of(self._calls.post(f"{API}/runs/search", body), "runs")

        return self._searched(search, plain, lambda run: run["info"]["run_id"])

    def _logged(self, ids: set[str]) -> dict[str, Document]:
        """Those of the logged models that a search finds."""
        plain = sorted(ids)
        if self._many or not plain or not self._experiments:
            return {}

        def search(some: Sequence[str]) -> Iterable[Any]:
            # MLflow reads the list as one of Python: a single one needs its comma.
            quoted = ", ".join(f"'{id_}'" for id_ in some) + ("," if len(some) == 1 else "")
            body = {
                "experiment_ids": list(self._experiments or ()),
                "filter": f"model_id IN ({quoted})",
                "max_results": len(some),
            }
            return list_of(self._calls.post(f"{API}/logged-models/search", body), "models")

        found: dict[str, Document] = {}
        for first in range(0, len(plain), _MOST_LOGGED):
            some = plain[first : first + _MOST_LOGGED]
            found |= self._searched(search, some, lambda model: model["info"]["model_id"])
        return found

    def _searched(
        self,
        search: Callable[[Sequence[str]], Iterable[Any]],
        ids: Sequence[str],
        name: Callable[[Any], str],
    ) -> dict[str, Document]:
        """What a search for these ids finds. Where it fails, it is made for halves, so that one
        that cannot be read leaves the others unharmed; that one is then asked for alone."""
        try:
            items = list(self._counted(lambda: search(ids)))
        except (NotMlflow, TooLarge, ServerFailed):
            half = len(ids) // 2
            if not half:
                return {}
            return {
                **self._searched(search, ids[:half], name),
                **self._searched(search, ids[half:], name),
            }
        except (Refused, NotPermitted, NoAnswer):
            return {}  # each is asked for by itself, and says why it cannot be had
        found = {}
        for item in items:
            try:
                document = fit(item)
                found[name(document)] = with_numbers(document)
            except (Unfit, KeyError, TypeError):
                continue  # it is asked for by itself
        return {id_: found[id_] for id_ in ids if id_ in found}

    def _one_run(self, run_id: str) -> Document:
        return self._single(self._calls.get(f"{API}/runs/get", {"run_id": run_id}), "run")

    def _one_logged(self, model_id: str) -> Document:
        return self._single(self._calls.get(f"{API}/logged-models/{model_id}"), "model")

    def _one_experiment(self, experiment_id: str) -> Document:
        query = {"experiment_id": experiment_id}
        found = self._single(self._calls.get(f"{API}/experiments/get", query), "experiment")
        with self._lock:
            if self._experiments is not None and len(self._experiments) < self._limits.experiments:
                self._experiments[experiment_id] = found
        return found

    def _single(self, answer: Mapping[str, Any], key: str) -> Document:
        try:
            return with_numbers(fit(answer.get(key)))
        except Unfit as error:
            raise NotMlflow(f"its {key} cannot be read: {error}") from None

    def _know_experiments(self) -> None:
        """All experiments, once: a search for runs has to name those that it looks through."""
        if self._experiments is not None:
            return
        known: dict[str, Document] = {}
        token, tokens = "", set[str]()
        while True:
            body = {"view_type": _ALL, "max_results": self._limits.page_items}
            if token:
                body["page_token"] = token
            answer = self._calls.post(f"{API}/experiments/search", body)
            for item in list_of(answer, "experiments"):
                try:
                    document = fit(item)
                    known[str(document["experiment_id"])] = document
                except (Unfit, KeyError):
                    continue  # it is asked for by itself where a run names it
            token = answer.get("next_page_token") or ""
            if len(known) > self._limits.experiments:
                known, self._many = {}, True
                break
            if not token:
                break
            if not isinstance(token, str) or token in tokens:
                raise NotMlflow("its list of experiments goes round in a circle")
            tokens.add(token)
            if len(tokens) > self._limits.experiments:
                raise NotMlflow("its list of experiments does not end")
        self._experiments = known


def _key(version: SourceVersion) -> tuple[str, int, str]:
    return version.name, version.version, str(version.document.get("source") or "")


def _logged_id(version: SourceVersion, read: _Read) -> str:
    """The logged model that its files belong to, or that the version itself names."""
    if read.place is not None:
        found = logged_model_of(read.place.root)
        if found is not None:
            return found
    named = version.document.get("model_id")
    if isinstance(named, str) and _PLAIN_ID.fullmatch(named):
        return named
    return logged_model_of(str(version.document.get("source") or "")) or ""


def _experiment_id(read: _Read) -> str:
    for document in (read.run, read.logged):
        info = document.get("info") if document is not None else None
        if isinstance(info, Mapping) and info.get("experiment_id"):
            return str(info["experiment_id"])
    return ""
