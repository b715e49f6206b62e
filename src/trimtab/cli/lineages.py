"""What a version comes from, and leads to, on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from trimtab.cli.inventoried import Which
from trimtab.cli.plane import plane
from trimtab.cli.remote import Remote, told

if TYPE_CHECKING:
    from trimtab.sdk.shapes import LineageShape

_PREFIX = {"dataset": "dataset ", "version": "version ", "placement": "placement "}
"""What stands before a label that does not say what it is."""


def show_lineage(remote: Remote, which: Which, *, as_json: bool) -> None:
    """Print the lineage of a version, each thing below the one that leads to it.

    Raises:
        NotFound: no registry holds it.
    """
    with plane(remote) as found:
        lineage = found.client.inventory.lineage(which.id(found.client), as_of=which.as_of)
    if as_json:
        print(json.dumps(lineage.model_dump(mode="json"), indent=2))
        return
    words = {node.id: _PREFIX.get(node.kind, "") + told(node.label) for node in lineage.nodes}
    print(words[lineage.start])
    for heading, down in (("comes from", False), ("leads to", True)):
        print(heading)
        lines = list(_walked(lineage, words, lineage.start, down, 1, {lineage.start}))
        print("\n".join(lines) or "  nothing that is known")
    if lineage.truncated:
        print("and more: it is too long to be shown whole")


def _walked(
    lineage: LineageShape,
    words: Mapping[str, str],
    here: str,
    down: bool,
    depth: int,
    met: set[str],
) -> Iterator[str]:
    """A line for each thing that is next to one, and for what is behind it; each thing once."""
    for edge in lineage.edges:
        near, far = (edge.upstream, edge.downstream) if down else (edge.downstream, edge.upstream)
        if near != here or far in met:
            continue
        met.add(far)
        ended = f", until {edge.until:%Y-%m-%d %H:%M}" if edge.until else ""
        since = f"since {edge.since:%Y-%m-%d %H:%M}{ended}"
        yield f"{'  ' * depth}{words[far]}  ({edge.relation.replace('_', ' ')}, {since})"
        yield from _walked(lineage, words, far, down, depth + 1, met)
