"""Showing strangers' text: escaped, shortened, and never the secrets found in it."""

from __future__ import annotations

import re

WITHHELD = "[withheld]"
"""What stands in the place of what seems to be a secret."""

_SECRETS = {
    "private_key": re.compile(
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"
        r"(?:[\s\S]*?-----END [A-Z0-9 ]*PRIVATE KEY-----|[\s\S]*)"
    ),
    "cloud_key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_\-]{35}"),
    "service_token": re.compile(
        r"\bgh[pousr]_[0-9A-Za-z]{30,}|\bgithub_pat_\w{22,}|\bxox[abprs]-[0-9A-Za-z\-]{10,}"
        r"|\bhf_[0-9A-Za-z]{30,}|\bsk-[0-9A-Za-z_\-]{20,}|\bdapi[0-9a-f]{32}\b"
    ),
    "json_web_token": re.compile(r"(?<![\w\-])eyJ[\w\-]{8,}+\.eyJ[\w\-]{8,}+\.[\w\-]{8,}"),
    "password": re.compile(
        r"(?:password|passwd|secret|token|api[_\-]?key)[\"']?\s*[=:]\s*[\"']?[^\s\"']{6,}", re.I
    ),
    "credentials_in_url": re.compile(
        r"\b[a-z][a-z0-9+.\-]{1,20}://[^\s/:@]{1,100}:[^\s/@]{1,100}@"
    ),
}
_PERSONAL = {
    "e_mail": re.compile(r"\b[\w.+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63})+\b"),
    "us_social_security": re.compile(r"\b\d{3}-\d{2}-\d{4}\b"),
    "iban": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}\b"),
}
_CARD = re.compile(r"\b\d(?:[ \-]?\d){12,18}\b")


def secrets_in(text: str | bytes) -> tuple[str, ...]:
    """Names of the kinds of credential that `text` seems to hold."""
    text = _decoded(text)
    return tuple(name for name, pattern in _SECRETS.items() if pattern.search(text))


def without_secrets(text: str) -> str:
    """`text` with `WITHHELD` in the place of each credential that it seems to hold."""
    for pattern in _SECRETS.values():
        text = pattern.sub(WITHHELD, text)
    return text


def personal_data_in(text: str | bytes) -> tuple[str, ...]:
    """Names of the kinds of personal data that `text` seems to hold."""
    text = _decoded(text)
    found = [name for name, pattern in _PERSONAL.items() if pattern.search(text)]
    if any(_luhn(re.sub(r"\D", "", match)) for match in _CARD.findall(text)):
        found.append("payment_card")
    return tuple(found)


def shown(text: str | bytes, limit: int = 120) -> str:
    """`text` fit to be shown: nothing unprintable, at most `limit` characters, no secret.

    Control characters, marks that reverse the direction of writing, and lone surrogates
    are written as escapes. What holds a credential or personal data is named instead.
    """
    text = _decoded(text)
    kinds = secrets_in(text) + personal_data_in(text)
    if kinds:
        return f"[withheld: {', '.join(kinds)}]"
    escaped = "".join(
        c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode()
        for c in text[:limit]
    )
    return escaped[:limit] + ("…" if len(escaped) > limit or len(text) > limit else "")


def _decoded(text: str | bytes) -> str:
    """Text as it is; bytes as UTF-8 with escapes for what is not."""
    return text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(d), 10)) for d in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[::-2]))) % 10 == 0 and len(set(digits)) > 1
