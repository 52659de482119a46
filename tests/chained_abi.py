"""Several commands of `abi`, one after the other in one process; `tests.warm_abi` runs it.

It reads a file of JSON, the words of each command by a name, and prints the reports by these names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from typer import testing
from typer.main import get_command

from commands.app import app

if __name__ == "__main__":
    made, reports = get_command(app), {}
    testing._get_command = lambda _: made  # the command of all verbs, once
    for name, words in json.loads(Path(sys.argv[1]).read_text()).items():
        ran = testing.CliRunner().invoke(app, [*words, "--json"])
        if ran.exit_code not in (0, 3):
            sys.exit(f"{name}: {ran.stdout}{ran.stderr}{ran.exception!r}")
        reports[name] = json.loads(ran.stdout)
    print(json.dumps(reports))
