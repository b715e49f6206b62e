"""An MLflow server read into the inventory: cold, unchanged, and beside the bare requests.

    python -m benchmarks.inventory --server http://127.0.0.1:5000

The floor is what plain httpx needs to list the files of the same versions, one request each with
as many at a time, and to page through them: less cannot be asked of a server for the same. The
server is somebody else's and is only read. Nothing is compared with a goal here.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from trimtab.app import Application
from trimtab.inventory.model import Connection
from trimtab.kernel.actor import system
from trimtab.platform.logs import configure_logs
from trimtab.platform.settings import load_settings
from trimtab.workflows import connections
from trimtab.workflows.connections import Asked
from trimtab.workflows.ingest import Ingest
from trimtab.workflows.inspecting import Inspector
from trimtab.workflows.registries import open_registry

_API = "/api/2.0/mlflow"
_PAGE = 1000


def resident_mib() -> float:
    """Memory of this process now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096 / 2**20


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that something took, and what came of it."""
    begun = time.perf_counter()
    made = act()
    return time.perf_counter() - begun, made


def scanned(http: httpx.Client) -> list[dict[str, Any]]:
    """Every version, by bare requests."""
    found, token = list[dict[str, Any]](), ""
    while True:
        query: dict[str, int | str] = {
            "max_results": _PAGE,
            **({"page_token": token} if token else {}),
        }
        page = http.get(f"{_API}/model-versions/search", params=query).raise_for_status().json()
        found += page.get("model_versions", [])
        token = page.get("next_page_token", "")
        if not token:
            return found


def listed(http: httpx.Client, version: dict[str, Any]) -> int:
    """Bytes of the answer to one listing of files."""
    logged = version["source"].removeprefix("models:/")
    where = f"{_API}/logged-models/{logged}/artifacts/directories"
    return len(http.get(where).content)


def floor(server: str, at_a_time: int) -> tuple[float, float, int]:
    """Seconds to page through the versions, seconds to list the files of each, and how many."""
    with httpx.Client(base_url=server, timeout=60) as http:
        paging, versions = timed(lambda: scanned(http))
        with ThreadPoolExecutor(at_a_time) as pool:
            listing, _ = timed(lambda: list(pool.map(lambda v: listed(http, v), versions)))
    return paging, listing, len(versions)


def main() -> None:
    """Print the figures as lines, or as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inventory")
    parser.add_argument("--server", required=True)
    parser.add_argument("--inspect", action="store_true", help="also look into files")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    configure_logs("ERROR")
    with tempfile.TemporaryDirectory(prefix="trimtab-bench-") as folder:
        figures = measured(given.server, Path(folder), inspect=given.inspect)
    if given.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:<44}{value:>12.2f}")


def measured(server: str, folder: Path, *, inspect: bool) -> dict[str, float]:
    """The figures, each with its unit in its name."""
    settings = load_settings(env_file=None).model_copy(update={"home": folder / "home"})
    application = Application(settings)
    parts = application.parts
    asked = Asked("mlflow", server, networks=("127.0.0.0/8",))
    connection = connections.connect(parts, system("bench"), asked, reason="a benchmark")

    def open_(found: Connection) -> Any:
        return open_registry(parts, found)

    before = resident_mib()
    cold, first = timed(lambda: Ingest(parts).cycle(connection.id, open_))
    grown = resident_mib() - before
    again, second = timed(lambda: Ingest(parts).cycle(connection.id, open_))
    assert second.counts.unchanged == first.counts.seen, "somebody changes this server"
    paging, listing, versions = floor(server, settings.sync_requests_at_a_time)
    figures = {
        "versions": float(versions),
        "cold, s": cold,
        "memory grown by it, MiB": grown,
        "unchanged, s": again,
        "floor: bare paging, s": paging,
        "floor: bare listing of files, s": listing,
        "cold / (paging + listing)": cold / (paging + listing),
    }
    if inspect:
        seconds, looked = timed(lambda: Inspector(parts).inspect(connection.id, open_))
        figures |= {"looked into, versions": float(looked), "looked into, s": seconds}
    parts.records.database.close()
    return figures


if __name__ == "__main__":
    main()
