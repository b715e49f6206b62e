"""Commands. Each imports what it needs when it is called, so that `--help` answers at once."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; a known error is said in a sentence, with the way out."""
    from trimtab.cli.commands import app
    from trimtab.kernel.errors import TrimtabError

    try:
        app()
    except TrimtabError as error:
        print(f"trimtab: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"  {error.remedy}", file=sys.stderr)
        sys.exit(2)
    except Exception:  # noqa: BLE001 - else Python exits with 1, which is an answer of some commands
        import traceback

        traceback.print_exc()
        print("trimtab: this is a fault of the program; nothing is answered", file=sys.stderr)
        sys.exit(2)
