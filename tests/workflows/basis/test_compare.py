"""The comparison: every method learns at its budget, cells are resumed, a tie is called one."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch

from tests.basis.tiny_basis import ragged_windows, rows_one_by_one
from tests.tiny import tiny_backbone
from transplant.basis.config import AdaptConfig, AllocateConfig, FitConfig
from transplant.basis.maps import select_maps
from transplant.basis.train import mean_loss, train_inside
from transplant.errors import InputError, NotFoundError
from transplant.files.cells import Cells
from transplant.workflows.basis.compare import of_gradients, of_outputs
from transplant.workflows.basis.compare.cell import Texts, copy_with_linears
from transplant.workflows.basis.compare.job import (
    CompareJob,
    _cells_of,
    check_methods,
    further_rates,
)
from transplant.workflows.basis.compare.method import Once, Scene
from transplant.workflows.basis.compare.table import METHODS, Row
from transplant.workflows.work import Work

pytest.importorskip("peft")
NEEDS_ATTRS = ("corda-kpm", "corda-ipm")  # PEFT's CorDA imports a package that PEFT does not need
CONFIG = AdaptConfig(steps=6, batch=4, learning_rate=5e-3, evaluate_every=3)


# Those that read weights as Linear's.
ON_GPT2 = (
    "basis",
    "basis-outputs",
    "olora",
    "pissa",
    "lora-ga",
    "corda-kpm",
)


@pytest.fixture(scope="module")
def backbones(tiny_tokenizer):
    return {family: tiny_backbone(family, tiny_tokenizer) for family in ("llama", "gpt2")}


@pytest.fixture
def backbone(backbones):
    return backbones["llama"]


@pytest.mark.filterwarnings("ignore")  # PEFT's own
@pytest.mark.parametrize(
    ("method", "family"),
    [*((name, "llama") for name in METHODS), *((name, "gpt2") for name in ON_GPT2)],
)
def test_every_method_learns_within_the_budget(backbones, tiny_tokenizer, method, family):
    if method in NEEDS_ATTRS and importlib.util.find_spec("attr") is None:
        pytest.skip("PEFT's CorDA needs attrs")
    backbone = backbones[family]
    copied = copy_with_linears(backbone)
    windows = [w for w in ragged_windows(len(tiny_tokenizer), 30) if len(w) > 20]
    windows += [longest := max(windows, key=len), longest]  # some read several of full length
    names = {"llama": "q_proj,up_proj,down_proj", "gpt2": "c_attn,c_fc,mlp.c_proj"}
    maps = select_maps(copied, names[family])
    scene = Scene(copied, maps, windows, windows[::-1], 4, CONFIG.steps, 0)
    raw = mean_loss(backbone, windows)
    prepared = METHODS[method].prepare(scene)
    with prepared.working():
        start = mean_loss(copied, windows)
        course = train_inside(
            copied, prepared.moving, windows, windows, CONFIG,
            learned=prepared.learned, penalty=prepared.penalty,
        )  # fmt: skip
    assert start == pytest.approx(raw, abs=1e-4)  # every start leaves the function as it is
    assert course.best_loss < start
    if method not in ("full", "adalora", "eva"):  # AdaLoRA begins with more, EVA moves whole ranks
        assert prepared.moving.count <= scene.budget
        assert prepared.moving.count > 0.6 * scene.budget
    assert all(torch.isfinite(p).all() for p in prepared.moving.parameters())


@pytest.mark.parametrize("method", ["basis-uniform", "basis-outputs-uniform"])
def test_a_basis_of_a_comparison_needs_a_row_for_each_direction(backbone, tiny_tokenizer, method):
    copied = copy_with_linears(backbone)
    windows = ragged_windows(len(tiny_tokenizer), 30)
    scene = Scene(copied, select_maps(copied, "up_proj"), windows, windows, 4, CONFIG.steps, 0)
    METHODS[method].prepare(scene)  # the control: enough of them
    with pytest.raises(InputError, match="too few tokens for"):
        METHODS[method].prepare(replace(scene, windows=windows[:1]))


def test_a_basis_of_a_comparison_reads_what_the_verbs_read(backbone, tiny_tokenizer, monkeypatch):
    asked = []
    for of in (of_gradients, of_outputs):
        monkeypatch.setattr(of, "first_windows", lambda w, n: asked.append((w, n)) or w)
    copied = copy_with_linears(backbone)
    windows, kept = (ragged_windows(len(tiny_tokenizer), 30, seed) for seed in (0, 1))
    scene = Scene(copied, select_maps(copied, "up_proj"), windows, kept, 4, 1, 0)
    METHODS["basis"].prepare(scene)
    assert asked == [(windows, FitConfig().tokens), (kept, FitConfig().tokens)]
    asked.clear()
    METHODS["basis-unspared"].prepare(scene)  # the control: the other text is not looked at
    assert [text for text, _ in asked] == [windows]
    asked.clear()
    METHODS["basis-outputs"].prepare(scene)
    assert asked == [(windows, FitConfig().tokens), (windows, AllocateConfig(budget=1).tokens)]


def test_random_directions_are_white_on_what_is_kept(backbone, tiny_tokenizer, monkeypatch):
    copied = copy_with_linears(backbone)
    embedding = copied.model.get_input_embeddings().weight.data
    generator = torch.Generator().manual_seed(0)
    embedding += embedding.std() * torch.randn(embedding.shape[1], generator=generator)  # S is full
    domain, kept = (ragged_windows(len(tiny_tokenizer), 60, seed) for seed in (0, 1))
    of = select_maps(copied, "q_proj")[0]
    scene = Scene(copied, [of], domain, kept, 2, CONFIG.steps, 0)
    monkeypatch.setattr(of_gradients, "_prepared", lambda _scene, adapter: adapter)
    r = METHODS["basis-random"].prepare(scene).subspaces[of.name].r.double()
    x, y = rows_one_by_one(copied, of, kept)
    moment = x.T @ x / len(x)
    unit = torch.eye(of.into)
    shrunk = 0.95 * moment + 0.05 * moment.diagonal().mean() * unit

    def off(rows: torch.Tensor) -> torch.Tensor:
        scale = y.square().mean(1).log().mean().exp()
        return (rows @ shrunk @ rows.T / scale - torch.eye(len(rows))).abs().max()

    assert off(r) < 0.02
    assert off(r[:, torch.arange(of.into).roll(1)]) > 0.2  # the control: of other inputs


def test_a_basis_is_fitted_once_for_all_cells(backbone, tiny_tokenizer, monkeypatch):
    copied = copy_with_linears(backbone)
    windows = ragged_windows(len(tiny_tokenizer), 30)
    scene = Scene(copied, select_maps(copied, "up_proj"), windows, windows, 4, CONFIG.steps, 0)
    fits, fit = [], of_gradients.fit_gradients
    monkeypatch.setattr(of_gradients, "fit_gradients", lambda *a: fits.append(a) or fit(*a))
    first = METHODS["basis"].prepare(scene)
    assert scene.once.saved == 0.0
    again = METHODS["basis"].prepare(replace(scene, seed=1))
    METHODS["basis-energy"].prepare(scene)
    assert len(fits) == 1
    assert scene.once.saved > 0.0  # it counts as a cell's seconds all the same
    assert first.moving.held[0] is not again.moving.held[0]  # what learns is each cell's own
    METHODS["basis-unspared"].prepare(scene)  # the control: other directions
    assert len(fits) == 2


def rates_tried(losses: dict[float, float], rates=(0.5, 2.0, 8.0)) -> list[float]:
    tried = list(rates)
    for further in further_rates(rates, lambda: min(tried, key=losses.__getitem__)):
        tried.append(further)
    return tried


def test_a_search_goes_on_beyond_its_end_until_the_best_is_inside():
    inside = {0.5: 3.0, 2.0: 1.0, 8.0: 2.0}
    assert rates_tried(inside) == [0.5, 2.0, 8.0]
    above = {0.5: 3.0, 2.0: 2.0, 8.0: 1.0, 32.0: 0.5, 128.0: 4.0}
    assert rates_tried(above) == [0.5, 2.0, 8.0, 32.0, 128.0]
    below = {0.5: 1.0, 2.0: 2.0, 8.0: 3.0, 0.125: 1.5}
    assert rates_tried(below) == [0.5, 2.0, 8.0, 0.125]
    endless = {0.5 * 4**n: -float(n) for n in range(9)}
    assert rates_tried(endless)[-1] == 0.5 * 4**5  # three more, and no further


LACKING = [
    (ModuleNotFoundError("No module named 'attr'", name="attr"), "attr"),
    (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
    (MemoryError("9 GiB"), "memory"),
    (ValueError("no such start"), None),  # the control: it is so on every machine
]


@pytest.mark.parametrize("step", ["prepared", "trained"])
@pytest.mark.parametrize(("error", "missing"), LACKING)
def test_what_lacks_a_package_or_memory_is_tried_again(
    tmp_path, backbone, monkeypatch, error, missing, step
):
    job = CompareJob(backbone="x", domain="tales", out=tmp_path, seeds=1, config=CONFIG)
    texts = Texts([], [], [], {})

    def lacking(*_args, **_options):
        raise error

    if step == "trained":
        if not isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            pytest.skip("an error of its own: no cell")
        monkeypatch.setattr("transplant.basis.train.train_inside", lacking)
    row = Row(lacking if step == "prepared" else METHODS["full"].prepare)
    cells = Cells(tmp_path / "cells", {"run": 1})
    searched, found = _cells_of(Work(), job, backbone, "corda-kpm", row, texts, cells, Once())
    assert [one.get("missing") for one in searched] == [missing] * 3
    assert all(one["unavailable"] for one in searched)
    assert not found
    assert len([*tmp_path.rglob("*.json")]) == (3 if missing is None else 0)


def test_an_unknown_method_is_refused(tmp_path):
    job = CompareJob(backbone="b", domain="d", out=tmp_path, methods=("lora", "best"))
    with pytest.raises(NotFoundError, match="best"):
        check_methods(job, METHODS)
    with pytest.raises(InputError, match="rank"):
        CompareJob(backbone="b", domain="d", out=tmp_path, rank=0)
