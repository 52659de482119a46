"""Tensors and an equation: logits computed anew by nothing but torch, from the folder alone."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from tests.workflows.export.hosted_things import IDS, Shelf
from transplant.modules.gate import Gate
from transplant.modules.hosted import HostedModel
from transplant.workflows.export.source import read_source

GATE = {"weight": torch.linspace(-1, 1, 16), "bias": torch.tensor(0.0), "memory": torch.tensor(0.5)}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    return Shelf(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)


def by_hand(folder, model, inputs):
    """The logits, as somebody computes them who has read `equation.json` and nothing else."""
    said = json.loads((folder / "equation.json").read_text())
    tensors = load_file(folder / "tensors.safetensors")
    if "changes" in said:
        for change in said["changes"]:
            module = model.get_submodule(change["module"])
            delta = change["scale"] * tensors[change["b"]] @ tensors[change["a"]]
            module.weight += delta if type(module).__name__ == "Linear" else delta.T
        for parameter, tensor in said["in_place_of"].items():
            model.get_parameter(parameter).copy_(tensors[tensor])
        return model(**inputs).logits
    seq2seq = model.config.is_encoder_decoder
    output = model(**inputs, output_hidden_states=True)
    hidden = output.decoder_hidden_states if seq2seq else output.hidden_states
    x = {name: hidden[entry["tap"]] for name, entry in said["inputs"].items()}
    for step in said["steps"]:
        x[step["out"]] = applied(step, [x[name] for name in step["in"]], tensors)
    last = hidden[-1]
    return model.get_output_embeddings()(said["head_scale"] * (last + x[said["result"]]))


def applied(step, read, tensors):
    w, b = (tensors.get(step.get(key)) for key in ("weight", "bias"))
    return {
        "linear": lambda: read[0] @ w.T + b,
        "matmul": lambda: read[0] @ w,
        "layer_norm": lambda: functional.layer_norm(read[0], w.shape, w, b, step["eps"]),
        "concat": lambda: torch.cat(read, -1),
        "gelu": lambda: functional.gelu(read[0]),
        "silu": lambda: functional.silu(read[0]),
        "exp": lambda: tensors[step["by"]].exp(),
        "add": lambda: read[0] + read[1],
        "multiply": lambda: read[0] * (tensors[step["by"]] if "by" in step else read[1]),
        "gate": lambda: gated(read[0], read[1] @ w + b, float(tensors[step["memory"]])),
    }[step["op"]]()


def gated(change, scores, memory):
    evidence, kept = torch.zeros(len(scores)), []
    for position in range(scores.shape[1]):
        evidence = memory * evidence + scores[:, position]
        kept.append(change[:, position] * (evidence > 0)[:, None])
    return torch.stack(kept, 1)


CASES = {
    "module": lambda s: ("llama", s.module(s.backbone("llama"), "one")),
    "lite of two layers": lambda s: (
        "gpt2", s.module(s.backbone("gpt2"), "two", form="lite", taps=(0, 2))
    ),
    "linear of all layers": lambda s: (
        "llama", s.linear(s.backbone("llama"), "all", taps=(0, 1, 2), rank=8)
    ),
    "linear through bases": lambda s: (
        "gpt2", s.linear(s.backbone("gpt2"), "base", taps=(0, 1, 2), bases=True)
    ),
    "linear on a scaled head": lambda s: ("t5", s.linear(s.backbone("t5"), "law")),
    "lora": lambda s: (
        "gpt2", s.adapter(s.backbone("gpt2"), "pairs", whole=("transformer.ln_f.bias",))
    ),
}  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_logits_are_computed_anew_from_the_folder_alone(shelf, case, tmp_path):
    family, name = CASES[case](shelf)
    report = shelf.work.export(name, tmp_path / "out", form="safetensors")
    assert report["logits"] < 1e-4
    inputs = {"input_ids": IDS} | ({"decoder_input_ids": IDS} if family == "t5" else {})
    hosted = shelf.work.load(name)
    expected, raw = hosted(**inputs).logits, hosted.backbone.model(**inputs).logits
    assert (expected - raw).abs().max() > 1e-3  # control: it does something
    found = by_hand(tmp_path / "out", hosted.backbone.model, inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    said = json.loads((tmp_path / "out" / "equation.json").read_text())
    tensors = load_file(tmp_path / "out" / "tensors.safetensors")
    assert {name: [*one.shape] for name, one in tensors.items()} == {
        name: one["shape"] for name, one in said["tensors"].items()
    }


@torch.no_grad()
def test_a_gate_is_told_too(shelf, tmp_path, monkeypatch):
    name = shelf.module(shelf.backbone("llama"), "gated")
    found = shelf.work.load(name)
    hosted = HostedModel(name, found.backbone, found.correction, Gate.from_tensors(GATE))
    monkeypatch.setattr(type(shelf.work), "load", lambda *_: hosted)
    assert read_source(shelf.work, name).hosted is hosted
    shelf.work.export(name, tmp_path / "out", form="safetensors")
    expected = hosted(IDS).logits
    again = by_hand(tmp_path / "out", hosted.backbone.model, {"input_ids": IDS})
    torch.testing.assert_close(again, expected, rtol=1e-4, atol=1e-4)
    shut = (expected - hosted.backbone.model(IDS).logits).abs().amax(-1)[0] < 1e-6
    assert 0 < int(shut.sum()) < len(shut)  # control: shut somewhere, open elsewhere
