"""The entry point of the script `abi`: even its imports can be interrupted without a traceback."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Imports the command line and runs it, whatever else is called `commands` or `registry`."""
    sys.path.insert(0, str(Path(__file__).parents[1]))  # before what is beside a script
    if not os.environ.get("TERMINAL_WIDTH", "0").isdigit():
        del os.environ["TERMINAL_WIDTH"]  # Typer would fail on it while it is imported
    try:
        from commands.app import main as run
    except KeyboardInterrupt:
        if "--json" in sys.argv:
            fields = ("expected", "found", "hint")
            named = {
                "schema_version": 2,
                "error": "InputError",
                "what": "interrupted",
                **dict.fromkeys(fields),
            }
            print(json.dumps(named, indent=2))
        print("error interrupted", file=sys.stderr)
        sys.exit(130)
    run()
