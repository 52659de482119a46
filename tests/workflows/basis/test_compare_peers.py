"""Methods of a comparison keep to its budget, and what they train is not rounded away."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.basis.tiny_basis import ragged_windows
from tests.tiny import tiny_backbone
from transplant.basis.config import AdaptConfig
from transplant.basis.maps import select_maps
from transplant.basis.train import mean_loss, train_inside
from transplant.errors import InputError
from transplant.workflows.basis.compare.cell import copy_with_linears
from transplant.workflows.basis.compare.method import Scene
from transplant.workflows.basis.compare.table import METHODS

pytest.importorskip("peft")
CONFIG = AdaptConfig(steps=6, batch=4, learning_rate=5e-3, evaluate_every=3)


@pytest.fixture(scope="module")
def backbone(tiny_tokenizer):
    return tiny_backbone("llama", tiny_tokenizer)


@pytest.mark.filterwarnings("ignore")  # PEFT's own
@pytest.mark.parametrize("method", ["full", "lora", "dora", "basis", "basis-outputs"])
def test_small_steps_in_a_backbone_of_16_bits_are_not_rounded_away(tiny_tokenizer, method):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    backbone.model.bfloat16()
    copied = copy_with_linears(backbone)
    windows = ragged_windows(len(tiny_tokenizer), 30)
    scene = Scene(copied, select_maps(copied, "q_proj,up_proj"), windows, windows, 4, 1, 0)
    prepared = METHODS[method].prepare(scene)
    moving, moved = [*prepared.moving.held], []
    before = [p.detach().clone() for p in moving]

    def look(_step):
        moved.extend(p.detach() - b for p, b in zip(moving, before, strict=True))

    config = replace(CONFIG, steps=1, learning_rate=1e-5, warmup=0.0)
    with prepared.working():
        assert mean_loss(copied, windows) == pytest.approx(mean_loss(backbone, windows), abs=0.05)
        train_inside(copied, prepared.moving, windows, windows, config, learned=look)
    assert {p.dtype for p in moving} == {torch.float32}
    assert max(float(one.abs().max()) for one in moved) == pytest.approx(1e-5, rel=0.1)
    if method == "full":
        largest = max(before, key=lambda p: float(p.abs().max())).bfloat16()
        rounded = (largest + 1e-5) != largest  # the control: of 16 bits few would have moved
        assert rounded.float().mean() < 0.2


@pytest.mark.filterwarnings("ignore")  # PEFT's own
def test_dora_keeps_to_the_budget_or_says_what_it_needs(backbone, tiny_tokenizer):
    copied = copy_with_linears(backbone)
    windows = ragged_windows(len(tiny_tokenizer), 2)
    scene = Scene(copied, select_maps(copied, "q_proj,up_proj"), windows, windows, 1, 1, 0)
    assert METHODS["lora"].prepare(scene).moving.count == scene.budget  # the control
    copied = copy_with_linears(backbone)
    scene = replace(scene, backbone=copied, maps=select_maps(copied, "q_proj,up_proj"))
    with pytest.raises(InputError, match="magnitudes of DoRA") as told:
        METHODS["dora"].prepare(scene)
    found = METHODS["dora"].prepare(replace(scene, rank=2))
    assert scene.budget < found.moving.count <= 2 * scene.budget
    assert told.value.expected == f"{found.moving.count:,} parameters or more"


@pytest.mark.filterwarnings("ignore")  # PEFT's own
def test_adalora_is_judged_with_the_ranks_of_its_budget(backbone, tiny_tokenizer, monkeypatch):
    copied = copy_with_linears(backbone)
    windows = ragged_windows(len(tiny_tokenizer), 12)
    maps = select_maps(copied, "q_proj,up_proj")
    scene = Scene(copied, maps, windows, windows, 4, CONFIG.steps, 0)
    prepared = METHODS["adalora"].prepare(scene)
    values = [p for p in prepared.moving.held if p.shape[1] == 1]
    assert [len(p) for p in values] == [6] * len(maps)
    alive = []

    def look(_backbone, _windows):
        alive.append(sum(int((p != 0).sum()) for p in values))
        return 1.0 / len(alive)

    monkeypatch.setattr("transplant.basis.train.mean_loss", look)
    config = replace(CONFIG, evaluate_every=1)
    train_inside(copied, prepared.moving, windows, windows, config,
                 learned=prepared.learned, penalty=prepared.penalty)  # fmt: skip
    assert alive[1] == 6 * len(maps)  # the control: all of them have moved
    settled = CONFIG.steps - CONFIG.steps // 3  # from this step on none is taken away any more
    assert alive[settled + 1 :] == [4 * len(maps)] * (CONFIG.steps - settled)
