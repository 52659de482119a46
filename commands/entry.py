"""The entry point of the script `abi`: even its imports can be interrupted without a traceback."""

from __future__ import annotations

import sys


def main() -> None:
    """Imports the command line and runs it."""
    try:
        from commands.app import main as run
    except KeyboardInterrupt:
        print("error interrupted", file=sys.stderr)
        sys.exit(1)
    run()
