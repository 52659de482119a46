"""The lock of a writer: from a library that runs on every system."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Away from Windows, the library of locks warns that none is left to it but soft ones.
HIDDEN = "import sys; sys.modules['fcntl'] = None; sys.argv = ['abi', '--help']; "


def test_nothing_imports_fcntl():
    for path in (
        p for top in ("transplant", "registry", "commands") for p in (ROOT / top).rglob("*.py")
    ):
        names = [
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (getattr(node, "module", None), *(alias.name for alias in node.names))
        ]
        assert "fcntl" not in names, path


def test_the_command_line_and_the_staging_of_files_start_without_fcntl():
    for code in (
        "from commands.entry import main; main()",
        "import transplant.activations.staging, transplant.activations.writer",
    ):
        ran = subprocess.run(
            [sys.executable, "-c", HIDDEN + code], capture_output=True, text=True, cwd=ROOT
        )
        assert ran.returncode == 0, ran
    code = "import sys; sys.modules['fcntl'] = None; import fcntl"  # the control
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 1
