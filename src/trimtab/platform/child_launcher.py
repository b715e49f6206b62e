"""Confine this process, say how far that went, then run a Python module in it.

Started by `trimtab.platform.child` as `python -m trimtab.platform.child_launcher ORDER
MODULE ARGUMENT...`, where ORDER is a JSON object. Standard library only: it runs before
anything else in a child that is about to read untrusted bytes.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import runpy
import signal
import site
import struct
import sys
import sysconfig
import traceback
from typing import Any

from trimtab.platform import child_files, child_filter

MEMORY_EXIT = 86
"""Exit status of a child that was refused memory."""

_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION = 0x20080522
_SYSTEM_READABLE = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo",
    "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom",
    "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Confine, report, run; return the exit status."""
    order, module, *rest = arguments
    wanted = json.loads(order)
    isolation = _confine(wanted)
    with os.fdopen(wanted["report_fd"], "w") as report:
        json.dump(isolation, report)
    sys.argv = [module, *rest]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except MemoryError:
        traceback.print_exc(limit=3)
        return MEMORY_EXIT
    return 0


def _confine(wanted: dict[str, Any]) -> dict[str, str]:
    """Give up everything that the module does not need; the order matters.

    Namespaces first, because making one grants capabilities and forgets the wish to die
    with the parent; then capabilities are dropped; then the files; the filter last,
    because it refuses the calls that the others need.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    own_network = libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC) == 0
    _drop_capabilities(libc)
    for option, value in (
        (_PR_SET_NO_NEW_PRIVS, 1),
        (_PR_SET_DUMPABLE, 0),
        (_PR_SET_PDEATHSIG, signal.SIGKILL),
    ):
        _prctl(libc, option, value)
    if os.getppid() != wanted["parent"]:
        os._exit(1)  # the parent died before this process could ask to die with it
    _limit(wanted)
    files = child_files.allow_only(_readable(wanted), [wanted["folder"], "/dev/null"])
    calls = child_filter.refuse_calls()
    return {
        "network": "none" if calls else "this machine" if own_network else "shared",
        "processes": "none" if calls else "shared",
        "files": "listed" if files else "shared",
        "user": "separate" if own_network else "shared",
    }


def _limit(wanted: dict[str, Any]) -> None:
    memory = wanted["max_memory_mib"] << 20
    file_size = wanted["max_file_mib"] << 20
    cpu = wanted["max_cpu_seconds"]
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_NOFILE, wanted["max_open_files"], wanted["max_open_files"]),
        (resource.RLIMIT_FSIZE, file_size, file_size),
        (resource.RLIMIT_AS, memory, memory),
    ):
        ceiling = resource.getrlimit(kind)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(kind, (soft, hard))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Hold no capability, neither of the machine nor of a namespace of one's own."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    if libc.capset(header, struct.pack("=6I", *[0] * 6)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    nothing = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), nothing, nothing, nothing) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} was refused")


def _readable(wanted: dict[str, Any]) -> list[str]:
    """The interpreter with its libraries, the system's, and what the caller lists."""
    python = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *sys.path]
    return [
        *_SYSTEM_READABLE,
        *(path for path in python if path),
        *site.getsitepackages(),
        f"/proc/{os.getpid()}",
        *wanted["files_readable"],
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
