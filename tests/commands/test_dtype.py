"""Backbones in bfloat16 through the verbs: close to float32, and recorded as what they were."""

from __future__ import annotations

import pytest
import torch

from commands.output import Output
from commands.session import open_session
from registry.store import Registry
from tests.commands.conftest import Abi
from tests.tiny import tiny_model
from transplant.backbones.arithmetic import cast
from transplant.backbones.views import view_of
from transplant.text.tokenizers import train_tokenizer
from transplant.workflows.train.reference import save_reference

pytestmark = pytest.mark.usefixtures("bfloat16")
PADDING = 13  # rows of a table beyond the tokenizer's


def put(root, texts, dtype):
    """Saves tiny-gpt2, and tiny-gemma2, whose logits have a soft cap and whose rows are padded."""
    work = open_session("test", Output(quiet=True), root)
    library = Registry(root, reference=root / ".none")
    for family, kind, size in (("gpt2", "bpe", 330), ("gemma2", "bpe-digits", 350)):
        tokenizer = train_tokenizer(kind, texts, size, context=128)
        model = tiny_model(family, tokenizer)
        if family == "gemma2":
            model.resize_token_embeddings(len(tokenizer) + PADDING, mean_resizing=False)
        view = view_of(f"tiny-{family}", cast(model, dtype), tokenizer)
        save_reference(work, view, library, {"split": "none"})
    return root


def as_stored(root, texts, dtype, monkeypatch):
    """References are written in float16; these are as they are given."""
    own = torch.nn.Module.to
    monkeypatch.setattr(
        torch.nn.Module,
        "to",
        lambda self, *a, **k: self if a == (torch.float16,) else own(self, *a, **k),
    )
    try:
        return put(root, texts, dtype)
    finally:
        monkeypatch.setattr(torch.nn.Module, "to", own)


def test_a_move_in_bfloat16_is_that_in_float32_but_for_rounding(
    tmp_path, tiny_texts, corpus, monkeypatch
):
    abi = Abi(as_stored(tmp_path / "registry", tiny_texts, torch.bfloat16, monkeypatch), corpus)
    found = {}
    for dtype in ("auto", "float32"):
        given = ("--dtype", dtype, "--replace", "--json")
        trained = abi.train("tiny-gpt2", *given[:3])
        assert trained.code == 0, trained.err
        moved = abi(
            "transfer", "--module", "tales@tiny-gpt2", "--to", "tiny-gemma2", "--excerpts", "60",
            "--data", corpus, "--eval-tokens", "1500", *given,
        )  # fmt: skip
        assert moved.code == 0, moved.err
        found[dtype] = trained.json, moved.json
        for name in ("tales@tiny-gpt2", moved.json["name"]):
            made = abi("show", name, "--json").json["made"]
            assert made["dtype"] == ("bfloat16" if dtype == "auto" else "float32")
        assert abi("rm", "tales@tiny-gemma2", "--yes").code == 0  # the ceiling, of this type
    for ours, theirs in zip(*found.values(), strict=True):
        for system, ppl in theirs["ppl"].items():
            assert ours["ppl"][system] == pytest.approx(ppl, rel=0.02), system
    (_, ours), (_, theirs) = found.values()
    assert ours["ppl"]["raw"] != theirs["ppl"]["raw"]  # the control: it was not computed the same
    assert ours["recovered"]["candidate"] == pytest.approx(
        theirs["recovered"]["candidate"], abs=0.1
    )
