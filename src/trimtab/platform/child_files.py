"""Files that a confined process may still open (Linux Landlock).

Source: the kernel's `Documentation/userspace-api/landlock.rst`.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_RIGHTS_UP_TO = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # version -> number of rights
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def allow_only(readable: Iterable[str], writable: Iterable[str]) -> bool:
    """From here on, open nothing but what lies below these paths; it cannot be undone.

    A path that does not exist is left out. `no_new_privs` must be set before.

    Returns:
        Whether the kernel took the rules. False where it has no Landlock; nothing is
        restricted then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    if version < 1:
        return False
    handled = (1 << _RIGHTS_UP_TO.get(version, 16)) - 1
    scoped = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    fields = [handled] if version < 4 else [handled, 0] if version < 6 else [handled, 0, scoped]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    try:
        for path in readable:
            _add(libc, rules, path, handled & (_READ_FILE | _READ_DIRECTORY))
        for path in writable:
            _add(libc, rules, path, handled & ~(_EXECUTE | _IOCTL_DEVICE))
        return bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _add(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    """Grant `rights` below `path`. A rule that fails grants nothing, which is safe."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _ON_A_FILE
        rule = struct.pack("=Qi", rights, place)
        libc.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(place)
