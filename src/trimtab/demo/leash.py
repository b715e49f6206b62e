"""Start a command that ends when whoever started it ends, however that came to be.

    python -m trimtab.demo.leash PARENT COMMAND [ARGUMENT ...]

A parent that is killed outright cannot tidy up. On Linux the kernel then sends its child
SIGTERM; elsewhere nothing is added.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was asked
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
