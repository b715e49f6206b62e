"""Where the files of a version are, and their list, as far as the MLflow server itself tells.

Addresses are inert text. Nothing but the server is asked, whatever host one names, and no address
or path of it is ever joined to one of this machine.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

from trimtab.integrations.mlflow_calls import API, LOGGED_FILES, PROXY, Calls, Limits
from trimtab.integrations.mlflow_json import NotMlflow, Unfit, fit, list_of
from trimtab.inventory.source import Document, Listing, SourceFile
from trimtab.platform.outbound import Query

_LONGEST_PATH = 1024
_LOGGED_ID = re.compile("[A-Za-z0-9_-]{1,256}")
_ROUNDS = 4
_DECODED_AGAIN = re.compile("%[0-9A-Fa-f]{2}")
_MLFLOW_ARTIFACTS = "mlflow-artifacts:"
_MODELS = "models:/"
_RUNS = "runs:/"


class NotListed(Exception):
    """The files of a version cannot be told: `reason` is a sentence for people."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Kind(StrEnum):
    """By whom the server finds files."""

    RUN = "run"
    LOGGED_MODEL = "logged_model"
    PROXY = "proxy"


@dataclass(frozen=True)
class Place:
    """Where files are: of the run or logged model `id`, or in the store that the server hands
    out; `path` is a checked path below that. `root` is the address as it was read."""

    kind: Kind
    root: str
    id: str = ""
    path: str = ""


def safe_path(path: object) -> bool:
    """Whether a text is a path below some root, in whatever way it may be decoded again."""
    if not isinstance(path, str) or not path or len(path) > _LONGEST_PATH:
        return False
    for _ in range(_ROUNDS):
        if "\\" in path or not path.isprintable() or {"", ".", ".."} & set(path.split("/")):
            return False
        if not _DECODED_AGAIN.search(path):
            return True
        path = unquote(path)
    return False


def logged_model_of(source: str) -> str | None:
    """The id of the logged model that a version's source names."""
    if not source.startswith(_MODELS):
        return None
    name = source.removeprefix(_MODELS).strip("/")
    # With a second part it would be a registered model and its version.
    return name if _LOGGED_ID.fullmatch(name) else None


def place_of(source: str, run: Document | None, calls: Calls) -> Place:
    """Where the files under a version's source are.

    Raises:
        NotListed: nowhere that the server could be asked about.
    """
    model = logged_model_of(source)
    if model is not None:
        return Place(Kind.LOGGED_MODEL, source, model)
    proxied = _proxied(source, calls)
    if proxied is not None:
        return _checked(Place(Kind.PROXY, source, path=proxied))
    if source.startswith(_RUNS):
        run_id, _, below = source.removeprefix(_RUNS).partition("/")
        return _checked(Place(Kind.RUN, source, run_id, below))
    info = run.get("info") if run is not None else None
    if isinstance(info, Mapping):
        address, owner = info.get("artifact_uri"), info.get("run_id")
        if isinstance(address, str) and isinstance(owner, str) and address:
            within = address.rstrip("/")
            if source == within or source.startswith(within + "/"):
                below = source.removeprefix(within).strip("/")
                return _checked(Place(Kind.RUN, source, owner, below))
    raise NotListed(
        f"its files lie at {calls.said(source) or 'no address'}, which the server does not list"
    )


def _checked(place: Place) -> Place:
    if place.path and not safe_path(place.path):
        raise NotListed("the address of its files holds a path that is none")
    return place


def _proxied(source: str, calls: Calls) -> str | None:
    """The path in the store that the server hands out, where the source lies in that."""
    if source.startswith(_MLFLOW_ARTIFACTS):
        rest = source.removeprefix(_MLFLOW_ARTIFACTS)
        if rest.startswith("//"):
            host, _, rest = rest.removeprefix("//").partition("/")
            if host not in ("", calls.netloc):
                return None
        return rest.strip("/") or None
    own = f"{calls.base}{PROXY}/"
    return source.removeprefix(own).strip("/") or None if source.startswith(own) else None


@dataclass
class _Walk:
    """What was found of the files of a version so far."""

    root: str
    waiting: deque[str] = field(default_factory=lambda: deque([""]))
    seen: set[str] = field(default_factory=lambda: {""})
    files: dict[str, SourceFile] = field(default_factory=dict)
    odd: dict[str, None] = field(default_factory=dict)


class Files:
    """Lists and reads files through the server."""

    def __init__(self, calls: Calls, limits: Limits):
        self._calls = calls
        self._limits = limits

    def listing(self, place: Place) -> tuple[Listing, tuple[str, ...]]:
        """The files below a place, by their paths, and a sentence for each kind of entry that
        was left out because it is none. A list that lacks an entry counts as cut: what was left
        out may be what is loaded.

        Raises:
            Unavailable: the server does not list them.
        """
        walk = _Walk(place.root)
        truncated: str | None = None
        while walk.waiting and truncated is None:
            for path, is_folder, size in self._entries(place, walk.waiting.popleft(), walk):
                if not is_folder:
                    walk.files[path] = SourceFile(path, size)
                elif path not in walk.seen:
                    walk.seen.add(path)
                    walk.waiting.append(path)
            truncated = self._excess(len(walk.files), walk.seen)
        kept = sorted(walk.files)[: self._limits.listing_files]
        found = tuple(walk.files[path] for path in kept)
        if truncated is None and walk.odd:
            truncated = "; ".join(walk.odd)
        return Listing(walk.root, found, truncated), tuple(walk.odd)

    def address(self, place: Place, path: str) -> tuple[str, Query]:
        """What to ask the server for a file.

        Raises:
            NotListed: the path is none.
        """
        if not safe_path(path):
            raise NotListed("that is no path of a file")
        whole = f"{place.path}/{path}" if place.path else path
        if place.kind is Kind.PROXY:
            return f"{PROXY}/{quote(whole, safe='/')}", {}
        if place.kind is Kind.LOGGED_MODEL:
            return LOGGED_FILES.format(place.id), {"artifact_file_path": whole}
        return "/get-artifact", {"run_uuid": place.id, "path": whole}

    def _excess(self, files: int, seen: set[str]) -> str | None:
        limits = self._limits
        if files > limits.listing_files:
            return f"more than {limits.listing_files} files"
        if len(seen) > limits.listing_directories:
            return f"more than {limits.listing_directories} folders"
        if max(path.count("/") for path in seen) >= limits.listing_depth:
            return f"folders more than {limits.listing_depth} deep"
        return None

    def _entries(
        self, place: Place, folder: str, walk: _Walk
    ) -> list[tuple[str, bool, int | None]]:
        """What lies in one folder: path below the place, whether it is a folder, size in bytes."""
        whole = "/".join(part for part in (place.path, folder) if part)
        token, found, tokens = "", list[tuple[str, bool, int | None]](), set[str]()
        while True:
            answer = self._asked(place, whole, token)
            if not folder:
                walk.root = _root(place, answer.get("root_uri"))
            for item in list_of({k: v for k, v in answer.items() if k != "root_uri"}, "files"):
                try:
                    path, is_folder, size = _entry(item)
                    found.append((_below(place, folder, path), is_folder, size))
                except Unfit as error:
                    walk.odd[f"its list of files has an entry that is left out: {error}"] = None
            token = answer.get("next_page_token") or ""
            if not token or len(found) > self._limits.listing_files:
                return found
            if not isinstance(token, str) or token in tokens:
                raise NotMlflow("its list of files goes round in a circle")
            tokens.add(token)
            if len(tokens) > self._limits.listing_directories:
                raise NotMlflow("its list of files does not end")

    def _asked(self, place: Place, whole: str, token: str) -> dict[str, Any]:
        more: dict[str, str | int] = {"page_token": token} if token else {}
        if place.kind is Kind.PROXY:
            return self._calls.get(PROXY, {"path": whole, **more})
        if place.kind is Kind.LOGGED_MODEL:
            where = f"{API}/logged-models/{place.id}/artifacts/directories"
            return self._calls.get(
                where, {"artifact_directory_path": whole, **more} if whole else more
            )
        return self._calls.get(
            f"{API}/artifacts/list",
            {"run_id": place.id, **({"path": whole} if whole else {}), **more},
        )


def _root(place: Place, told: Any) -> str:
    """The address that the files lie under: the server knows it for runs and logged models."""
    if place.kind is Kind.PROXY or not isinstance(told, str) or not told:
        return place.root
    return f"{told.rstrip('/')}/{place.path}" if place.path else told


def _entry(item: Any) -> tuple[str, bool, int | None]:
    if isinstance(item, dict) and not safe_path(item.get("path")):  # as it came
        raise Unfit("its path is none below the version")
    entry = fit(item)
    path, is_folder, size = entry.get("path"), entry.get("is_dir", False), entry.get("file_size")
    if not isinstance(path, str) or not isinstance(is_folder, bool) or isinstance(size, bool):
        raise Unfit("it does not say what it is")
    if isinstance(size, str) and re.fullmatch("[0-9]{1,19}", size):
        size = int(size)
    if size is not None and not (isinstance(size, int) and 0 <= size < 1 << 63):
        raise Unfit("its size is none")
    return path, is_folder, None if is_folder else size


def _below(place: Place, folder: str, path: str) -> str:
    """The path below the place, of what was listed in a folder of it: the store of the server
    answers with names, runs and logged models with paths from their own roots."""
    if place.kind is Kind.PROXY:
        if "/" in path:
            raise Unfit("its name is a path")
        return f"{folder}/{path}" if folder else path
    whole = "/".join(part for part in (place.path, folder) if part)
    if whole and not path.startswith(whole + "/"):
        raise Unfit("it does not lie in the folder that was asked for")
    below = path.removeprefix(place.path + "/") if place.path else path
    if "/" in below.removeprefix(folder).strip("/"):
        raise Unfit("it does not lie in the folder that was asked for")
    return below
