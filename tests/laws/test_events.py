"""A control plane knows every kind of entry that there is: whoever asks for one is answered."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import trimtab

_KIND = re.compile(r'^    kind: ClassVar\[str\] = "([a-z_]+\.[a-z_]+)"$', re.MULTILINE)
_PRINT = "import trimtab.app; from trimtab.kernel.events import kinds; print(*sorted(kinds()))"


def test_what_is_joined_knows_every_kind_of_entry() -> None:
    source = Path(trimtab.__file__).parent
    written = {
        kind for file in source.rglob("*.py") for kind in _KIND.findall(file.read_text("utf-8"))
    }
    known = subprocess.run(
        [sys.executable, "-c", _PRINT], capture_output=True, text=True, check=True
    )
    assert len(written) > 80
    assert written == set(known.stdout.split())
