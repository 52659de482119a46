"""The command line starts light."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from commands.verb_table import VERBS

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


def test_help_loads_neither_torch_nor_transformers():
    shown = output_of(PROBE.format(words=["--help"]))
    assert all(name.split()[0] in shown for names in VERBS.values() for name in names)


def test_importing_the_library_is_light():
    assert "False" in output_of("import sys, transplant; print('torch' in sys.modules)")
    with pytest.raises(subprocess.CalledProcessError):  # the probe can fail
        output_of("import sys, torch, transplant; assert 'torch' not in sys.modules")


def test_help_of_every_verb_is_light_and_has_the_shared_options():
    for name in (name for names in VERBS.values() for name in names):
        shown = output_of(PROBE.format(words=[*name.split(), "--help"]))
        for option in ("--json", "--quiet", "--debug", "--seed", "--device", "--registry"):
            assert option in shown, (name, option)


@pytest.mark.parametrize(
    "words", [["list"], ["cores"], ["schema"], ["show", "python-shipped@ref-gpt2"]]
)
def test_a_look_at_the_registry_is_light(words, tmp_path, monkeypatch):
    monkeypatch.setenv("ABI_REGISTRY", str(tmp_path))
    assert output_of(PROBE.format(words=words)).strip()


def test_version_is_the_installed_one_and_as_light_as_help():
    shown = output_of(PROBE.format(words=["--version"]))
    assert shown.strip() == f"abi {metadata.version('abi-transplant')}"
    assert shown != output_of(PROBE.format(words=["--help"]))  # control


@pytest.mark.parametrize("words", [[], ["nib"], ["basis"], ["basis", "fit"]])
def test_short_options_say_what_the_long_ones_say(words):
    assert output_of(PROBE.format(words=[*words, "-h"])) == output_of(
        PROBE.format(words=[*words, "--help"])
    )
    assert output_of(PROBE.format(words=["-V"])) == output_of(PROBE.format(words=["--version"]))


def test_the_command_line_runs_as_a_module_too():
    ran = subprocess.run(
        [sys.executable, "-m", "commands", "-V"], check=True, capture_output=True, text=True
    )
    assert ran.stdout == f"abi {metadata.version('abi-transplant')}\n"
