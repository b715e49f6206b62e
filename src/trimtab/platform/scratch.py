"""Folders for a while, below the data folder: of whoever was killed, the next one tidies up.

Whoever works in a folder holds its lock, which the system frees at death. So any process
can tell what is left over from what is in use, and neither a number of a process nor a
time is trusted.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from trimtab.kernel.errors import Unavailable


class Scratch:
    """Folders for a while below `root`, which is made for the owner only.

    Raises:
        Unavailable: the folder cannot be made.
    """

    def __init__(self, root: Path):
        self._root = root.absolute()
        with self._usable():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.swept = self._sweep()

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """A new and empty folder, which is removed at the end with all that is in it.

        Raises:
            Unavailable: there is no room for it.
        """
        place = self._root / secrets.token_hex(8)
        with contextlib.ExitStack() as stack:
            with self._usable():
                place.mkdir(mode=0o700)
                stack.callback(shutil.rmtree, place, ignore_errors=True)
                lock = _opened(place)
                stack.callback(os.close, lock)  # before the folder goes: the last called first
                fcntl.flock(lock, fcntl.LOCK_EX)
                if os.fstat(lock).st_nlink == 0:
                    raise OSError(errno.EAGAIN, "another process tidied up at this moment")
            yield place

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"no folder can be made below {self._root}: {error.strerror}",
                remedy="free room there, and check that it belongs to this process",
            ) from error

    def _sweep(self) -> int:
        """Remove what the dead have left; return how many folders that were."""
        swept = 0
        for place in self._root.iterdir():
            with contextlib.suppress(OSError):  # in use, or gone at this moment
                lock = _opened(place)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(place)
                    swept += 1
                finally:
                    os.close(lock)
        return swept


def _opened(place: Path) -> int:
    return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
