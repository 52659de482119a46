"""Cells of a long run."""

from __future__ import annotations

import json

import pytest

from transplant.errors import CorruptError, InputError
from transplant.files.cells import Cells


def test_cells_of_another_run_are_refused(tmp_path):
    cells = Cells(tmp_path, {"rank": 8, "recipe": {"steps": (1,)}})
    assert cells.read("lora-0.1-0") is None
    cells.write("lora-0.1-0", {"calibration": 1.0})
    assert Cells(tmp_path, cells.run).read("lora-0.1-0")["calibration"] == 1.0
    with pytest.raises(InputError, match="another run"):
        Cells(tmp_path, {"rank": 4}).read("lora-0.1-0")
    assert json.loads((tmp_path / "lora-0.1-0.json").read_text())["run"]["rank"] == 8


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "\x00"])
def test_a_cell_that_is_none_is_named_with_what_to_do(tmp_path, text):
    (tmp_path / "raw.json").write_text(text)
    with pytest.raises(CorruptError, match=r"raw.json is no cell.*Try: remove it"):
        Cells(tmp_path, {"rank": 8}).read("raw")
