"""Moves that are refused before the work: text, and weights that have changed."""

from __future__ import annotations

import pytest

import transplant
from registry.store import Registry
from transplant.errors import CorruptError
from transplant.workflows.work import Work

MOVE = ("--module", "tales@tiny-gpt2", "--excerpts", "60")


def test_text_that_is_nowhere_is_refused_before_a_model_is_loaded(trained_abi, monkeypatch):
    monkeypatch.setattr(Work, "backbone", lambda *_: pytest.fail("a model is loaded"))
    moved = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama")
    tuned = ("--donor", "tiny-gpt2", "--tuned", "tales@tiny-gpt2", "--to", "tiny-llama")
    here, nowhere = ("--data", trained_abi.corpus), "./nowhere.txt"
    for words in (
        ("transfer", *moved, "--data", nowhere),
        ("transfer", *moved, *here, "--domain-data", nowhere),
        ("calibrate", *moved, "--data", f"python,{nowhere}"),
        ("bridge-align", *moved, "--data", nowhere),
        ("ablate", "controls", *moved, "--data", nowhere),
        ("transfer", *tuned, "--domain", "tales", "--data", nowhere),
        ("transfer", *tuned, *here, "--domain", nowhere),
        ("transfer", *tuned, *here, "--name", "law", "--domain-data", nowhere),
    ):
        ran = trained_abi(*words, "--json")
        assert ran.code == 1, ran.out
        assert "no such corpus: ./nowhere.txt" in ran.json["what"]


def test_pairing_text_that_cannot_be_split_is_refused_before_a_native_is_trained(abi, tmp_path):
    assert abi.train("tiny-gpt2").code == 0
    alone = tmp_path / "alone.txt"
    alone.write_text("The jorupas gralru norhus a jo under the corcor 819. " * 40)
    for donor in (MOVE, ("--donor", "tiny-gpt2", "--tuned", MOVE[1], "--domain", "tales")):
        refused = abi(
            "transfer", *donor, "--domain-data", abi.corpus, "--to", "tiny-llama", "--pair-data",
            str(alone), "--json",
        )  # fmt: skip
        assert (refused.code, refused.json["error"]) == (1, "CorpusError")
        assert "too few documents" in refused.json["what"]
        kinds = {row["kind"] for row in abi.rows() if row["backbone"] == "tiny-llama"}
        assert kinds == {"backbone"}


def test_changed_backbone_weights_are_refused(abi):
    assert abi.train("tiny-gpt2").code == 0
    library = Registry.open(abi.root)
    weights = abi.root / "tiny-gpt2" / "model.safetensors"
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    tensors["transformer.ln_f.bias"] += 0.5
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(CorruptError, match="not those of its manifest"):
        transplant.load("tales@tiny-gpt2", library=library)
