"""Traces of everything that can be hosted: what changes a backbone is at work in every pass."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

from tests.surgery.fuse.scenes import KINDS, busy, scene
from tests.tracing.test_effects import effects_of
from transplant.surgery.fuse.stored import empty_fusion
from transplant.tracing.prefix import Prefix


def of_all(backbone, windows, model) -> dict[str, float]:
    return effects_of(backbone, windows, "auto,layer:*.resid", model, intervention="resample")


@pytest.mark.parametrize("family", ["llama", "t5", "layercake"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fusion_is_traced_as_it_works(kind, family, tiny_tokenizer, windows, monkeypatch):
    backbone, members = scene(family, kind, tiny_tokenizer)
    fused = empty_fusion("fused@b", members, "gate")
    busy(fused.combiner)
    found = of_all(backbone, windows, fused)
    assert found != pytest.approx(of_all(backbone, windows, None), abs=1e-4)

    @contextmanager
    def nothing_skipped(_prefix, _below):
        yield

    monkeypatch.setattr(Prefix, "skipped", nothing_skipped)
    assert of_all(backbone, windows, fused) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("part", [0, 1])
def test_an_injected_part_is_traced_as_it_works(part, tiny_tokenizer, windows, monkeypatch):
    backbone, members = scene("gemma2", "parts", tiny_tokenizer, layer=0)
    model = members[part]
    with torch.no_grad():
        for name, parameter in model.grafts.named_parameters():
            if "gate" in name:
                parameter.fill_(0.7)
    found = of_all(backbone, windows, model)
    assert found != pytest.approx(of_all(backbone, windows, None), abs=1e-4)

    @contextmanager
    def nothing_skipped(_prefix, _below):
        yield

    monkeypatch.setattr(Prefix, "skipped", nothing_skipped)
    assert of_all(backbone, windows, model) == pytest.approx(found, abs=1e-6)
