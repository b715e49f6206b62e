"""Looking at a page as somebody who sees little, uses the keyboard, or holds a telephone.

The checks run in the browser on what it has computed. They are few and our own, beside those
of axe, which knows the rules of WCAG and not those of this house.
"""

from __future__ import annotations

from typing import Any

CHECKS = """
() => {
  const found = [];
  const shown = (element) =>
    element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const name = (element) =>
    `<${element.tagName.toLowerCase()}> "${(element.textContent || "").trim().slice(0, 40)}"`;

  if (!document.documentElement.lang) found.push("the page does not say its language");
  if (!document.title.trim()) found.push("the page has no title");
  if (all("h1").filter(shown).length !== 1) found.push("there is not exactly one h1");
  for (const landmark of ["header", "main", "footer"])
    if (all(landmark).filter(shown).length !== 1)
      found.push(`there is not exactly one ${landmark}`);
  let level = 0;
  for (const heading of all("h1, h2, h3, h4").filter(shown)) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) found.push(`a level is left out before ${name(heading)}`);
    level = own;
  }
  // What has to be pushed sideways is overlooked; what is opened on purpose may be wide.
  for (const box of all(".scroll").filter(shown))
    if (!box.closest("details") && !box.querySelector("details[open]")
        && box.scrollWidth > box.clientWidth + 1)
      found.push(`cut off at the side: ${name(box)}`);
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at)))
    found.push(`the id ${id} is there twice`);
  for (const field of all("input:not([type=hidden]), select, textarea"))
    if (!field.labels.length && !field.getAttribute("aria-label"))
      found.push(`no label: ${field.name || field.id}`);
  for (const press of all("button, a[href]").filter(shown))
    if (!press.textContent.trim() && !press.getAttribute("aria-label")
        && !press.querySelector("[aria-label], img[alt]:not([alt=''])"))
      found.push(`nothing is said by ${press.outerHTML.slice(0, 80)}`);
  for (const image of all("img"))
    if (image.getAttribute("alt") === null) found.push(`no alternative: ${image.src}`);
  for (const picture of all("svg"))
    if (!picture.closest("[aria-hidden=true]") && !picture.getAttribute("aria-label")
        && !picture.getAttribute("aria-labelledby") && !picture.querySelector("title"))
      found.push(`a picture without a name: ${picture.outerHTML.slice(0, 80)}`);
  for (const cell of all("th"))
    if (!cell.scope) found.push(`no scope: ${name(cell)}`);

  // Contrast of text with what lies behind it, as WCAG 2 reckons it.
  const parse = (colour) => {
    const given = colour.match(/[\\d.]+/g).map(Number);
    return [given[0], given[1], given[2], given.length > 3 ? given[3] : 1];
  };
  const over = (top, below) =>
    [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3])).concat(1);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement)
      layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || seen.has(element) || !shown(element)) continue;
    if (element.closest("[disabled], .hidden, .skip, script, style, svg title, svg desc")) continue;
    seen.add(element);
    const style = getComputedStyle(element);
    const below = behind(element.closest("svg") ? element.closest("svg").parentElement : element);
    const ink = over(parse(element.closest("svg") ? style.fill : style.color), below);
    const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${name(element)}`);
  }
  return found;
}
"""

FOCUSED = """
() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at);
  return {
    what: at.outerHTML.slice(0, 120),
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
    stop: at.matches("main"),
  };
}
"""


def complaints(page: Any) -> list[str]:
    """What stands in somebody's way on the page that is open."""
    found = list(page.evaluate(CHECKS))
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("the page is wider than the window")
    return found


def unseen_focus(page: Any, *, steps: int = 200) -> list[str]:
    """What the Tab key reaches without its being shown; every control is reached once."""
    page.evaluate("document.activeElement && document.activeElement.blur()")
    found: list[str] = []
    first = None
    for _ in range(steps):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        if at is None or at["what"] == first:
            break
        first = first or at["what"]
        if not at["seen"]:
            found.append(at["what"])
    return found
