"""Collections of garbage, left out where there is none to find."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """While modules are loaded: what they make stays, and to look it through again and again
    takes a fifth of the time that they need."""
    looking = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if looking:
            gc.enable()


def settle() -> None:
    """From now on leave out what there is: it stays, is most of all, and takes long to look
    through."""
    gc.collect()
    gc.freeze()
