"""Models that are compared: those of one backbone hold its weights once."""

from __future__ import annotations

import pytest

from transplant.loading import hosted

SHORT = ("--eval-tokens", "200", "--window", "64")
BOTH = ("--model", "tales@tiny-gpt2", "--baseline", "tiny-gpt2")


@pytest.fixture
def loaded(monkeypatch):
    """The backbones that are loaded, by name, from here on."""
    names, plain = [], hosted.load_backbone
    monkeypatch.setattr(
        hosted, "load_backbone", lambda name, **more: names.append(name) or plain(name, **more)
    )
    return names


@pytest.mark.parametrize("verb", ["nib", "uq", "cfeval", "perplexity"])
def test_a_backbone_that_several_models_are_hosted_on_is_loaded_once(
    trained_abi, tmp_path, loaded, verb
):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"good": "The ba is.", "bad": "The ba are."}\n' * 2)
    data = ("--data", trained_abi.corpus)
    words = {
        "nib": ("--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2", "--chunk-length", "30"),
        "uq": (*BOTH, "--ensemble", "tiny-gpt2", *data, *SHORT, "--out", str(tmp_path / "uq")),
        "cfeval": (*BOTH, "--pairs", str(pairs)),
        "perplexity": ("tiny-gpt2", "tales@tiny-gpt2", *data),
    }[verb]
    ran = trained_abi(verb, *words, "--json")
    assert ran.code in (0, 3), ran.err
    assert loaded == ["tiny-gpt2"]


def test_another_backbone_is_loaded_beside_it(trained_abi, loaded):
    words = ("perplexity", "tiny-gpt2", "tiny-llama", "tales@tiny-gpt2", "--json")
    assert trained_abi(*words, "--data", trained_abi.corpus).code == 0
    assert loaded == ["tiny-gpt2", "tiny-llama"]
