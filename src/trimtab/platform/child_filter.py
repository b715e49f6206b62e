"""System calls that a confined process may no longer make (Linux seccomp, mode 2).

Refused from here on: a new process, another program, a socket, a signal or a limit for
any process but itself, reading another process, new namespaces and mounts, and kernel
interfaces that would let a program around this list. New threads are allowed.

Source: the kernel's `Documentation/userspace-api/seccomp_filter.rst`; call numbers from
its `asm-generic/unistd.h` (aarch64) and `syscall_64.tbl` (x86-64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000

# Classic BPF: load a 32-bit word of `struct seccomp_data`, compare, return.
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_OFFSET_CALL, _OFFSET_ARCHITECTURE, _OFFSET_ARGUMENT = 0, 4, 16
_CLONE_THREAD = 0x00010000
_X32_CALLS = 0x40000000

_SAME_EVERYWHERE = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_open": 434,
    "clone3": 435, "pidfd_getfd": 438,
}  # fmt: skip
_X86_64 = {
    "socket": 41, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62,
    "ptrace": 101, "rt_sigqueueinfo": 129, "setpriority": 141, "sched_setparam": 142,
    "sched_setscheduler": 144, "mount": 165, "tkill": 200, "tgkill": 234, "add_key": 248,
    "request_key": 249, "keyctl": 250, "ioprio_set": 251, "unshare": 272,
    "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "prlimit64": 302, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "sched_setattr": 314, "bpf": 321,
    "execveat": 322, "userfaultfd": 323,
}  # fmt: skip
_AARCH64 = {
    "ioprio_set": 30, "mount": 40, "unshare": 97, "ptrace": 117, "sched_setparam": 118,
    "sched_setscheduler": 119, "kill": 129, "tkill": 130, "tgkill": 131,
    "rt_sigqueueinfo": 138, "setpriority": 140, "socket": 198, "add_key": 217,
    "request_key": 218, "keyctl": 219, "clone": 220, "execve": 221, "rt_tgsigqueueinfo": 240,
    "perf_event_open": 241, "prlimit64": 261, "setns": 268, "process_vm_readv": 270,
    "process_vm_writev": 271, "sched_setattr": 274, "bpf": 280, "execveat": 281,
    "userfaultfd": 282,
}  # fmt: skip


@dataclass(frozen=True)
class _Machine:
    audit_number: int
    calls: Mapping[str, int]


_MACHINES = {
    "x86_64": _Machine(0xC000003E, _X86_64 | _SAME_EVERYWHERE),
    "aarch64": _Machine(0xC00000B7, _AARCH64 | _SAME_EVERYWHERE),
}
_ON_ITSELF_ONLY = ("kill", "tgkill", "prlimit64")  # abort() and getrlimit() need these
_SPECIAL = ("clone", "clone3", *_ON_ITSELF_ONLY)


def refuse_calls() -> bool:
    """Put the filter on this thread and all it will start; it cannot be taken off.

    Returns:
        Whether the kernel took it. False on a machine whose call numbers are not known
        here, and where the kernel has no seccomp.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    return install([*_header(machine), *_rules(machine.calls, os.getpid()), _return(_ALLOW)])


def install(program: Sequence[bytes]) -> bool:
    """Hand `program`, one `struct sock_filter` of 8 bytes each, to the kernel."""
    code = ctypes.create_string_buffer(b"".join(program))
    description = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    nothing = ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing) != 0:
        return False
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    return bool(libc.prctl(_PR_SET_SECCOMP, mode, description, nothing, nothing) == 0)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _return(action: int) -> bytes:
    return _step(_RETURN, action)


def _header(machine: _Machine) -> list[bytes]:
    """Die under another calling convention, where the numbers mean other calls."""
    return [
        _step(_LOAD, _OFFSET_ARCHITECTURE),
        _step(_JUMP_IF_EQUAL, machine.audit_number, 1, 0),
        _return(_KILL_PROCESS),
        _step(_LOAD, _OFFSET_CALL),
        _step(_JUMP_IF_AT_LEAST, _X32_CALLS, 0, 1),
        _return(_KILL_PROCESS),
    ]


def _rules(calls: Mapping[str, int], own: int) -> list[bytes]:
    """The refusals; the call's number is loaded, and stays loaded past each of them."""
    refused = _return(_ERRNO | errno.EPERM)
    rules: list[bytes] = []
    for name, number in calls.items():
        if name not in _SPECIAL:
            rules += [_step(_JUMP_IF_EQUAL, number, 0, 1), refused]
    # glibc falls back from clone3, whose flags lie in memory, to clone, whose do not.
    rules += [
        _step(_JUMP_IF_EQUAL, calls["clone3"], 0, 1),
        _return(_ERRNO | errno.ENOSYS),
        _step(_JUMP_IF_EQUAL, calls["clone"], 0, 4),
        _step(_LOAD, _OFFSET_ARGUMENT),
        _step(_JUMP_IF_SET, _CLONE_THREAD, 1, 0),
        refused,
        _return(_ALLOW),
    ]
    for name in _ON_ITSELF_ONLY:
        to_itself = [own, 0] if name == "prlimit64" else [own]  # kill(0) is the whole group
        rules += [
            _step(_JUMP_IF_EQUAL, calls[name], 0, len(to_itself) + 3),
            _step(_LOAD, _OFFSET_ARGUMENT),
            *(
                _step(_JUMP_IF_EQUAL, pid, len(to_itself) - place, 0)
                for place, pid in enumerate(to_itself)
            ),
            refused,
            _return(_ALLOW),
        ]
    return rules
