"""A comparison from Python: the report, its plot and its cells, as the command line has them."""

from __future__ import annotations

import json

import pytest

from tests.tiny_registry import tiny_workspace
from transplant import TrainConfig
from transplant.basis import train
from transplant.basis.config import AdaptConfig
from transplant.errors import InputError
from transplant.schemas.basis import CompareReport

pytest.importorskip("peft")
pytest.importorskip("matplotlib")


@pytest.mark.filterwarnings("ignore")  # PEFT's own
def test_a_comparison_from_python_is_drawn_and_an_occupied_place_refused_first(
    tiny_texts, tmp_path, monkeypatch
):
    work, corpus = tiny_workspace(tmp_path / "root", tiny_texts, (), TrainConfig())
    asked = {
        "data": corpus, "forget": corpus, "methods": ("lora",), "layers": "q_proj", "rank": 1,
        "seeds": 1, "eval_tokens": 300,
        "config": AdaptConfig(steps=1, batch=2, window=64, train_tokens=2_000,
                              calibration_tokens=300, evaluate_every=1),
    }  # fmt: skip
    out = tmp_path / "out"
    report = work.compare_basis("tiny-llama", "tales", out, **asked)
    assert {*report["files"]} == {str(out / name) for name in ("compare.json", "compare.png")}
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((out / "compare.json").read_text())
    assert written["rows"] == json.loads(json.dumps(report["rows"]))
    assert report.keys() <= CompareReport.__annotations__.keys() | {"schema_version"}
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(train, "train_inside", lambda *_a, **_o: pytest.fail("work"))
    with pytest.raises(InputError, match="cannot write"):
        work.compare_basis("tiny-llama", "tales", tmp_path / "file", **asked)
