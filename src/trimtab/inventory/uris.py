"""Addresses of artifacts as inert text: what they name, and what is odd about them.

Nothing here is ever joined to a path or asked for over a network.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from trimtab.artifacts.redaction import WITHHELD, secrets_in
from trimtab.inventory.coerce import odd_characters

_RUN = re.compile(r"runs:/+([^/?#]+)(?:/|$)")
_LOGGED = re.compile(r"models:/+(m-[0-9a-zA-Z]+)(?:[/?#]|$)")
_VERSION = re.compile(r"models:/+(.+)/([0-9]{1,18})/?")
_RUN_BELOW = re.compile(r"/([0-9a-f]{32})/artifacts(?:/|$)")
_LOGGED_BELOW = re.compile(r"/models/(m-[0-9a-f]{32})(?:/|$)")
_LOCAL = re.compile(r"^file:(?://(?:localhost)?(?=/))?")
_USER = re.compile(r"(?<=//)[^/?#@]*@")
_SIGNED = re.compile(r"sig|token|key|credential|secret|password", re.IGNORECASE)


def shown(uri: str) -> str:
    """`uri` without what may be a credential in it: a user, or a signed query."""
    address, _mark, query = _USER.sub("[withheld]@", uri).partition("?")
    if not query:
        return uri if address == uri else address
    return f"{address}?{'[withheld]' if _SIGNED.search(query) else query}"


def without_secrets(uri: str) -> str:
    """The same, and nothing of `uri` at all where it seems to hold another secret."""
    kept = shown(uri)
    return WITHHELD if secrets_in(kept) else kept


def run_named(uri: str) -> str | None:
    """The run whose artifacts `uri` names, as `runs:/` or by its path; None: it names none."""
    found = _RUN.match(uri) or _RUN_BELOW.search(uri)
    return found[1] if found else None


def logged_model_named(uri: str) -> str | None:
    """The logged model that `uri` names; None: it names none."""
    found = _LOGGED.match(uri) or _LOGGED_BELOW.search(uri)
    return found[1] if found else None


def version_named(uri: str) -> tuple[str, int] | None:
    """Model and version that `models:/name/2` names; None: it names none."""
    found = _VERSION.fullmatch(uri)
    return (unquote(found[1]), int(found[2])) if found else None


def lies_below(uri: str, root: str) -> bool:
    """Whether `uri` is `root`, or something below it, as text; not where it climbs."""
    uri, root = (_LOCAL.sub("", one).rstrip("/") for one in (uri, root))
    return not _climbs(_unescaped(uri)) and (uri == root or uri.startswith(root + "/"))


def oddities(uri: str, known_roots: tuple[str, ...]) -> list[str]:
    """What is odd about the address of a version, each in some words.

    Args:
        uri: The address.
        known_roots: Where the registry says that artifacts of this run and experiment lie.
    """
    found = []
    plain = _unescaped(uri)
    if _climbs(plain):
        found.append("it climbs out of its folder")
    if odd_characters(plain) or "\ufffd" in plain:
        found.append("it has characters that are not seen")
    if "\\" in plain:
        found.append("it has backslashes")
    scheme, host = _origin(plain)
    if scheme in ("", "file"):
        found.append("it is a path on some machine")
    if scheme in ("http", "https", "mlflow-artifacts") and re.search(r"[?#;]", plain):
        found.append("it has a query or a fragment")
    hosts = {_origin(root) for root in known_roots}
    hosts_of_scheme = {known for kind, known in hosts if kind == scheme}
    if hosts_of_scheme and host not in hosts_of_scheme:
        found.append("it lies on another host than the run's artifacts")
    return found


def _climbs(plain: str) -> bool:
    return ".." in re.split(r"[/\\;?#]", plain)


def _unescaped(uri: str) -> str:
    """`uri` with its escapes undone, and those that were hidden in escapes."""
    for _time in range(3):
        uri = unquote(uri)
    return uri


def _origin(uri: str) -> tuple[str, str]:
    """Scheme and host, as far as they can be told."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # brackets that are no IPv6 address
        return "", uri
    return parts.scheme.casefold(), parts.netloc.casefold()
