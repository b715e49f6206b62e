"""What is seen to before a request is routed: secrets in addresses, and signed bodies."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab.api import problems
from trimtab.kernel.errors import InvalidInput, NotAuthenticated
from trimtab.sdk import request_signing
from trimtab.workflows.refusals import Refused

_NAMES = re.compile(
    r"(x[-_]?)?api[-_]?key|(access|bearer|auth|id|refresh|session)?[-_]?token|authori[sz]ation|"
    r"bearer|jwt|passw(or)?d|secret|client[-_]?secret|credentials?|signature",
    re.IGNORECASE,
)
_VALUES = re.compile(r"ak_[0-9a-z]{16}\.|eyJ[\w-]+\.[\w-]+\.")
_LONGEST = 1 << 16


class NoSecretsInAddresses:
    """Refuses a request whose query looks as if it held a credential, whichever it is.

    Addresses stand in the logs of proxies, in histories and in `Referer`: one that worked would
    be sent again. The answer does not repeat it.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        query = scope.get("query_string", b"") if scope["type"] == "http" else b""
        if not query or not _credential_in(query):
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["refused"] = Refused(InvalidInput.code, "query")
        answer = problems.problem(
            400,
            InvalidInput.code,
            "an address must not hold a credential",
            field="query",
            remedy="send it in a header, and replace this one: addresses are kept in many logs",
        )
        await answer(scope, receive, send)


class SignedBodies:
    """Holds a signed request to the digest that its signature covers.

    The last part of a body that has another one is never handed on, so nothing can have been
    done with it.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, reading along."""
        said = _signature(scope) if scope["type"] == "http" else None
        if said is None:
            await self._app(scope, receive, send)
            return
        seen = hashlib.sha256()

        async def held() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                seen.update(message.get("body", b""))
                if not message.get("more_body", False) and seen.hexdigest() != said.digest:
                    raise NotAuthenticated(
                        "the body is not the one that was signed",
                        remedy="sign the SHA-256 of the very bytes that are sent",
                    )
            return message

        await self._app(scope, held, send)


def _credential_in(query: bytes) -> bool:
    text = query[:_LONGEST].decode("latin-1")
    pairs = parse_qsl(text, keep_blank_values=True)
    return any(_NAMES.fullmatch(name) or _VALUES.search(value) for name, value in pairs)


def _signature(scope: Scope) -> request_signing.Signature | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            found = request_signing.parse(value.decode("latin-1"))
            if found is not None:
                return found
    return None
