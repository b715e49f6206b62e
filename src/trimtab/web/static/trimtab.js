"use strict";
// Theme, sorting, live parts, keys. Every page works without this file.
(function () {
  const root = document.documentElement;
  const kept = (() => { try { return localStorage.getItem("theme"); } catch (_) { return null; } })();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  root.classList.add("scripted");

  function toggleTheme() {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch (_) { /* not kept, then */ }
  }

  // Sorting: by data-sort where a cell has one, else by its text; numbers as numbers.
  function keyOf(row, column) {
    const cell = row.cells[column];
    if (!cell) return "";
    const text = cell.dataset.sort !== undefined ? cell.dataset.sort : cell.textContent.trim();
    const number = Number(text.replace(/[\s\u202f%]/g, ""));
    return text !== "" && !Number.isNaN(number) ? number : text.toLowerCase();
  }

  function sortBy(header) {
    const table = header.closest("table");
    const body = table.tBodies[0];
    const column = header.cellIndex;
    const falling = header.getAttribute("aria-sort") === "ascending";
    const rows = Array.from(body.rows).map((row) => [keyOf(row, column), row]);
    rows.sort(([a], [b]) => {
      if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
      return (a < b ? -1 : a > b ? 1 : 0) * (falling ? -1 : 1);
    });
    for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    for (const [, row] of rows) body.append(row);
  }

  function prepareSorting(within) {
    for (const header of within.querySelectorAll("table.sortable thead th")) {
      if (header.querySelector("button") || !header.textContent.trim()) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
    }
  }

  // What scrolls can be reached by keyboard: at this width, once it is unfolded or exchanged.
  const widths = new ResizeObserver((seen) => {
    for (const { target } of seen) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });

  function prepare(within) {
    prepareSorting(within);
    for (const scroller of within.querySelectorAll(".scroll")) widths.observe(scroller);
  }

  // On a narrow screen groups begin folded; whoever is led into one finds it open.
  function lead() {
    const there = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    let group = there && there.closest("details[data-fold]");
    if (!group || group.open) return;
    for (; group; group = group.parentElement.closest("details[data-fold]")) group.open = true;
    there.scrollIntoView();
  }

  function fold() {
    if (!matchMedia("(max-width: 640px)").matches) return;
    for (const group of document.querySelectorAll("details[data-fold]")) group.open = false;
    lead();
  }

  // Live parts: the page is asked for again, and the parts that changed are exchanged.
  let asking = false;
  async function refresh() {
    const parts = document.querySelectorAll("[data-live]");
    if (!parts.length || asking || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts) {
        const next = fresh.getElementById(part.id);
        const busy = part.contains(document.activeElement) || part.querySelector("details[open]");
        if (!next || busy || part.dataset.seen === next.innerHTML) continue;
        const first = part.dataset.seen === undefined;
        part.dataset.seen = next.innerHTML;
        if (first && next.textContent === part.textContent) continue;
        part.replaceChildren(...document.adoptNode(next).childNodes);
        prepare(part);
      }
      root.classList.remove("stale");
    } catch (_) {
      root.classList.add("stale");
    } finally {
      asking = false;
    }
  }

  let waitingForPlace = false;
  const places = { h: "/", m: "/models", v: "/inventory", a: "/approvals", r: "/rollouts", i: "/incidents", l: "/audit", s: "/account" };
  function onKey(event) {
    const field = event.target.closest && event.target.closest("input, textarea, select");
    if (field || event.ctrlKey || event.metaKey || event.altKey) return;
    if (waitingForPlace) {
      waitingForPlace = false;
      if (places[event.key]) location.assign(places[event.key]);
      return;
    }
    if (event.key === "g") {
      waitingForPlace = true;
      setTimeout(() => { waitingForPlace = false; }, 1500);
    } else if (event.key === "?") {
      const keys = document.getElementById("keys");
      if (keys) keys.open ? keys.close() : keys.showModal();
    } else if (event.key === "t") {
      toggleTheme();
    } else if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (search) { event.preventDefault(); search.focus(); }
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    prepare(document);
    fold();
    window.addEventListener("hashchange", lead);
    document.addEventListener("keydown", onKey);
    document.addEventListener("click", (event) => {
      const sorter = event.target.closest("table.sortable thead th button");
      if (sorter) sortBy(sorter.closest("th"));
      if (event.target.closest("[data-theme-toggle]")) toggleTheme();
      if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
    });
    document.addEventListener("submit", (event) => {
      // A double click is one wish; the server would say so too.
      if (event.target.dataset.sent) event.preventDefault();
      event.target.dataset.sent = "yes";
    });
    setInterval(refresh, 1000);
  });
})();
