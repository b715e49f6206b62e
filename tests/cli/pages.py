"""A page as a tree, for tests that look at what stands in it and how it is drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}


@dataclass
class Node:
    """An element with its attributes."""

    tag: str
    attributes: dict[str, str]
    parts: list[Node | str] = field(default_factory=list)

    def all(self, tag: str = "", kind: str = "") -> list[Node]:
        """Elements inside it by tag and by a word of their class."""
        return [
            one
            for one in self._inside()
            if (not tag or one.tag == tag) and (not kind or kind in one.kinds)
        ]

    def one(self, tag: str = "", kind: str = "", **attributes: str) -> Node:
        """The first such element."""
        for found in self.all(tag, kind):
            if all(found.attributes.get(key) == value for key, value in attributes.items()):
                return found
        raise AssertionError(f"no {tag}.{kind} {attributes}")

    @property
    def kinds(self) -> list[str]:
        return self.attributes.get("class", "").split()

    @property
    def text(self) -> str:
        return "".join(one if isinstance(one, str) else one.text for one in self.parts)

    def at(self, name: str) -> float:
        """A number of an attribute; of one in per cent, its share."""
        told = self.attributes[name]
        return float(told[:-1]) / 100 if told.endswith("%") else float(told)

    def _inside(self) -> Iterator[Node]:
        for one in self.parts:
            if isinstance(one, Node):
                yield one
                yield from one._inside()


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {key: value or "" for key, value in attrs})
        self.open[-1].parts.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].parts.append(Node(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def tree(page: str) -> Node:
    """The elements of a page; each must be closed where it was opened."""
    reader = _Tree()
    reader.feed(page)
    reader.close()
    assert [node.tag for node in reader.open] == [""], "an element is left open"
    return reader.open[0]


def drawn_steps(path: str) -> list[tuple[float, float, float]]:
    """The bars of a path of steps: from, to, and how far down their top is."""
    found: list[tuple[float, float, float]] = []
    at = float(re.match(r"M([\d.]+) ", path)[1])  # type: ignore[index]
    for y, x in re.findall(r"V(-?[\d.]+)H([\d.]+)", path):
        found.append((at, float(x), float(y)))
        at = float(x)
    return found


def drawn_bars(path: str) -> list[tuple[float, float, float]]:
    """The bars of a path in which each stands by itself."""
    bar = r"M([\d.]+) 1000V([\d.]+)H([\d.]+)V1000Z"
    return [(float(a), float(b), float(y)) for a, y, b in re.findall(bar, path)]
