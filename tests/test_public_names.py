"""The names of the library that its users rely on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import transplant


def test_the_public_names_are_these() -> None:
    assert transplant.__all__ == dir(transplant) == [
        "MoveConfig", "NIBConfig", "TrainConfig", "TransplantError", "Workspace", "load",
        "load_backbone", "versions",
    ]  # fmt: skip
    for name in transplant.__all__:
        assert getattr(transplant, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = transplant.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_it_is_typed() -> None:
    assert (Path(transplant.__file__).parent / "py.typed").is_file()


def test_the_front_door_loads_no_command_line() -> None:
    code = (
        "import sys, transplant; transplant.Workspace; "
        "print(sorted({'typer', 'rich', 'commands', 'torch'} & {*sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
