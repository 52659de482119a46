"""The command line starts light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from commands.app import VERBS

PROBE = """
import sys
from typer.testing import CliRunner
from commands.app import app
result = CliRunner().invoke(app, {words})
assert result.exit_code == 0, result.output
heavy = {{"torch", "transformers", "scipy", "numpy", "h5py", "datasets"}} & set(sys.modules)
assert not heavy, heavy
print(result.output)
"""


def output_of(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_help_of_every_verb_loads_neither_torch_nor_transformers():
    lines = "\n".join(f"    [{name!r}, '--help']," for name, _, _ in VERBS)
    code = PROBE.format(words="words").split("result =")
    loop = f"for words in [\n    ['--help'],\n{lines}\n]:\n"
    body = "    result = CliRunner().invoke(app, words)\n    assert result.exit_code == 0, words\n"
    rest = "heavy =" + code[1].split("heavy =", 1)[1]
    output_of(code[0] + loop + body + rest.replace("print(result.output)", ""))


def test_importing_the_library_is_light():
    output_of("import sys, transplant; assert 'torch' not in sys.modules")
    with pytest.raises(subprocess.CalledProcessError):  # the probe can fail
        output_of("import sys, torch, transplant; assert 'torch' not in sys.modules")


def test_every_verb_has_the_shared_options():
    for name, _, _ in VERBS:
        shown = output_of(PROBE.format(words=[name, "--help"]))
        for option in ("--json", "--quiet", "--debug", "--seed", "--device", "--registry"):
            assert option in shown, (name, option)
