"""Whatever is drawn by lot in the product is drawn from the seed: ids, salts and nonces."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from trimtab.kernel import ids
from trimtab.kernel.clock import SteppedClock
from trimtab.remediation import gate
from trimtab.remediation.guards import Machine


@contextmanager
def seeded(rng: random.Random, real_clock: SteppedClock) -> Iterator[None]:
    """The same chance, the same clock and the same machine for every run of a seed."""
    with (
        patch.object(secrets, "randbits", rng.getrandbits),
        patch.object(secrets, "token_bytes", lambda n=32: rng.randbytes(n)),
        patch.object(secrets, "token_hex", lambda n=32: rng.randbytes(n).hex()),
        patch.object(ids, "_ids", ids.Ids(real_clock)),
        patch.object(gate, "measure", lambda: Machine(cores=4, memory_mib=16_384)),
    ):
        yield
