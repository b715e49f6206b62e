"""How long a test waits for what has to come: machines differ by a factor of five and more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 300.0


def eventually(seen: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """The first true value of `seen`, or a failed test."""
    end = time.monotonic() + seconds
    while not (value := seen()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value
