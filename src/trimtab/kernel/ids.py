"""Identifiers: opaque strings with a readable prefix, one type for each thing."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import NewType

from trimtab.kernel.clock import Clock, SystemClock

TenantId = NewType("TenantId", str)
PersonId = NewType("PersonId", str)
ModelId = NewType("ModelId", str)
VersionId = NewType("VersionId", str)
CheckRunId = NewType("CheckRunId", str)
ApprovalId = NewType("ApprovalId", str)
PermitId = NewType("PermitId", str)
RolloutId = NewType("RolloutId", str)
WindowId = NewType("WindowId", str)
IncidentId = NewType("IncidentId", str)
DiagnosisId = NewType("DiagnosisId", str)
RemediationId = NewType("RemediationId", str)
RetrainingId = NewType("RetrainingId", str)
Digest = NewType("Digest", str)  # "sha256:" + 64 hex digits

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u


_LENGTH = 16
_CHANCE_BITS = 35  # the other 45 of the 80 hold milliseconds, until the year 3084
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Ids:
    """Numbers that rise in the order in which they are drawn: real time, then chance.

    What is made in one moment of domain time has no other order than that of its ids, and
    that must not be drawn by lot.
    """

    def __init__(self, clock: Clock):
        self.clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """The next number, in base 32."""
        millisecond = (self.clock.now() - _EPOCH) // _MILLISECOND
        fresh = millisecond << _CHANCE_BITS | secrets.randbits(_CHANCE_BITS)
        with self._lock:
            same = self._last >> _CHANCE_BITS >= millisecond
            self._last = self._last + 1 if same else fresh
            number = self._last
        return "".join(ALPHABET[number >> 5 * place & 31] for place in range(_LENGTH - 1, -1, -1))


_ids = Ids(SystemClock())


def new_id(prefix: str) -> str:
    """A fresh identifier such as `ver_4h2k9m...`; of two, the later one is the greater."""
    return prefix + "_" + _ids.next()
