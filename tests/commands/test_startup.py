"""The command line starts light."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import pytest

from commands.verb_table import VERBS

PROBE = """
import json, sys
from typer.testing import CliRunner
from commands.app import app
shown = []
for words in {runs}:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    heavy = {{"torch", "transformers", "scipy", "numpy", "h5py", "datasets"}} & set(sys.modules)
    assert not heavy, (words, heavy)
    shown.append(result.output)
print(json.dumps(shown))
"""


def output_of(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def shown_by(*runs: list[str]) -> list[str]:
    """What runs print, one after the other in one process that loads nothing heavy."""
    return json.loads(output_of(PROBE.format(runs=runs)))


def test_help_loads_neither_torch_nor_transformers():
    (shown,) = shown_by(["--help"])
    assert all(name.split()[0] in shown for names in VERBS.values() for name in names)


def test_importing_the_library_is_light():
    assert "False" in output_of("import sys, transplant; print('torch' in sys.modules)")
    with pytest.raises(subprocess.CalledProcessError):  # the probe can fail
        output_of("import sys, torch, transplant; assert 'torch' not in sys.modules")


def test_help_of_every_verb_is_light_and_has_the_shared_options():
    verbs = [name for names in VERBS.values() for name in names]
    for name, shown in zip(verbs, shown_by(*([*v.split(), "--help"] for v in verbs)), strict=True):
        for option in ("--json", "--quiet", "--debug", "--seed", "--device", "--registry"):
            assert option in shown, (name, option)


def test_a_look_at_the_registry_is_light(tmp_path, monkeypatch):
    monkeypatch.setenv("ABI_REGISTRY", str(tmp_path))
    looks = (["list"], ["cores"], ["schema"], ["show", "python-shipped@ref-gpt2"])
    assert all(shown_by(*looks))


def test_version_is_the_installed_one_and_as_light_as_help():
    version, short, usage = shown_by(["--version"], ["-V"], ["--help"])
    assert version.strip() == f"abi {metadata.version('abi-transplant')}"
    assert version == short != usage


def test_short_options_say_what_the_long_ones_say():
    verbs = ([], ["nib"], ["basis"], ["basis", "fit"])
    short = shown_by(*([*words, "-h"] for words in verbs))
    assert short == shown_by(*([*words, "--help"] for words in verbs))
    assert len({*short}) == len(verbs)  # control


def test_the_command_line_runs_as_a_module_too():
    ran = subprocess.run(
        [sys.executable, "-m", "commands", "-V"], check=True, capture_output=True, text=True
    )
    assert ran.stdout == f"abi {metadata.version('abi-transplant')}\n"
