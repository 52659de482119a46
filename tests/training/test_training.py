"""Training a module: it learns, it resumes to the same bytes, the backbone does not move."""

from __future__ import annotations

import dataclasses
import errno

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.backbones.fingerprint import hash_tensors
from transplant.backbones.states import States, concat_states
from transplant.errors import CorruptError, InputError, StorageError
from transplant.modules.core import untrained_in_core
from transplant.text.windows import cut_windows
from transplant.training import checkpoint as checkpoint_file
from transplant.training.checkpoint import CheckpointFile
from transplant.training.config import TrainConfig
from transplant.training.loop import mean_loss, train_module
from transplant.training.row_sources import CachedRows, DiskRows, LiveRows, row_source
from transplant.training.schedule import warmup_cosine
from transplant.training.share import shares_of

pytestmark = pytest.mark.bits

CONFIG = TrainConfig(
    d_abi=16, steps=12, batch=2, window=32, evaluate_every=4, learning_rate=0.01, patience=9
)


@pytest.fixture(scope="module")
def backbone(tiny_tokenizer):
    return tiny_backbone("llama", tiny_tokenizer)


@pytest.fixture(scope="module")
def windows(tiny_corpus, tiny_tokenizer):
    cut = cut_windows(tiny_corpus[:12], tiny_tokenizer, 32)
    return cut[:24], cut[24:32]


class Interrupted(Exception):
    """Stands for a crash at a step."""


def stop_at(step):
    def progress(done, _total, _note):
        if done == step:
            raise Interrupted

    return progress


def bytes_of(result):
    return hash_tensors(result.correction.state_dict())


def test_training_lowers_the_held_out_loss_and_leaves_the_backbone(backbone, windows):
    with backbone.frozen():
        result = train_module(backbone, *windows, CONFIG)
    losses = [loss for _, loss in result.course.history]
    assert losses[-1] < losses[0]
    assert result.course.best_loss == min(losses)


def test_texts_that_are_read_first_are_counted_together_and_train_the_same(backbone, windows):
    told = []
    with backbone.frozen():
        sides = shares_of(backbone, windows, backbone.all_taps, progress=lambda *x: told.append(x))
        result = train_module(backbone, *sides, CONFIG)
        alone = train_module(backbone, *windows, CONFIG)
    total = sum(map(len, windows))
    assert [*map(len, sides)] == [*map(len, windows)]
    assert told == sorted(told)
    assert {*told} >= {(total, total, "windows")}
    assert {of for _, of, _ in told} == {total}
    assert bytes_of(result) == bytes_of(alone)
    told.clear()
    shares_of(backbone, sides, backbone.all_taps, progress=lambda *x: told.append(x))
    assert told == []  # read already


@pytest.mark.parametrize("step", [5, 8, 11])
def test_an_interrupted_run_ends_with_the_same_bytes(tmp_path, backbone, windows, step):
    whole = train_module(backbone, *windows, CONFIG)
    file = CheckpointFile(tmp_path / "run.safetensors", dataclasses.asdict(CONFIG))
    with pytest.raises(Interrupted):
        train_module(backbone, *windows, CONFIG, checkpoint=file, progress=stop_at(step))
    resumed = train_module(backbone, *windows, CONFIG, checkpoint=file, resume=True)
    assert bytes_of(resumed) == bytes_of(whole)
    assert resumed.course == whole.course
    other = train_module(backbone, *windows, dataclasses.replace(CONFIG, seed=1))
    assert bytes_of(other) != bytes_of(whole)


@pytest.fixture(scope="module")
def core(tiny_tokenizer):
    return tiny_backbone("layercake", tiny_tokenizer, domain_modules={})


@pytest.mark.parametrize("form", ["lite", "full"])
def test_inside_a_core_the_module_alone_learns(core, windows, form):
    start = untrained_in_core(core, form, 0)
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    raw = mean_loss(core, row_source(core, windows[1], start.taps), start)  # it is silent yet
    with core.frozen():
        longer = dataclasses.replace(CONFIG, steps=40)
        result = train_module(core, *windows, longer, start=start)
    for name, tensor in result.correction.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith("module."), name
    assert result.course.best_loss < raw - 0.03
    assert sum(p.requires_grad for p in result.correction.parameters()) == len(
        [*result.correction.module.parameters()]
    )


@pytest.mark.parametrize("form", ["lite", "full"])
def test_an_interrupted_module_in_a_core_ends_with_the_same_bytes(tmp_path, core, windows, form):
    whole = train_module(core, *windows, CONFIG, start=untrained_in_core(core, form, 0))
    file = CheckpointFile(tmp_path / "run.safetensors", dataclasses.asdict(CONFIG))
    with pytest.raises(Interrupted):
        train_module(
            core, *windows, CONFIG, start=untrained_in_core(core, form, 0), checkpoint=file,
            progress=stop_at(5),
        )  # fmt: skip
    resumed = train_module(
        core, *windows, CONFIG, start=untrained_in_core(core, form, 1), checkpoint=file, resume=True
    )
    assert bytes_of(resumed) == bytes_of(whole)
    assert resumed.course == whole.course
    other = train_module(core, *windows, CONFIG, start=untrained_in_core(core, form, 1))
    assert bytes_of(other) != bytes_of(whole)


@pytest.mark.parametrize(("free", "kind"), [(10**15, "disk"), (0, "live")])
def test_rows_train_alike_wherever_they_are_kept(
    backbone, windows, tmp_path, monkeypatch, free, kind
):
    cached = train_module(backbone, *windows, CONFIG)
    monkeypatch.setattr("transplant.training.row_sources.free_bytes", lambda _: free)
    monkeypatch.setattr(
        "transplant.training.row_sources.row_source",
        lambda b, w, t, **named: row_source(b, w, t, cache_bytes=0, **named),
    )
    other = train_module(backbone, *windows, CONFIG, scratch=tmp_path)
    assert (cached.rows, other.rows) == ("cached", kind)
    assert not [*tmp_path.iterdir()]
    for one, two in zip(cached.correction.parameters(), other.correction.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [CachedRows, DiskRows])
def test_kept_rows_are_the_live_ones(backbone, windows, tmp_path, kind):
    taps = backbone.all_taps[:-1]  # the last layer is read in any case
    folder = [tmp_path] if kind is DiskRows else []
    kept, live = kind(backbone, windows[0], taps, *folder), LiveRows(backbone, windows[0], taps)
    one, other = kept.rows([3, 0, 7]), live.rows([3, 0, 7])
    assert one.labels.tolist() == other.labels.tolist()
    assert one.ends.tolist() == other.ends.tolist()
    assert one.windows.tolist() == other.windows.tolist()
    torch.testing.assert_close(one.h_last, other.h_last, rtol=1e-4, atol=1e-5)
    assert one.taps.keys() == other.taps.keys()
    for tap in taps:
        torch.testing.assert_close(one.taps[tap], other.taps[tap], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("free", "with_folder", "kind"),
    [(None, True, CachedRows), (2, True, CachedRows), (1, True, DiskRows), (1, False, LiveRows)],
)
def test_rows_take_at_most_half_of_the_memory_that_is_free(
    backbone, windows, tmp_path, monkeypatch, free, with_folder, kind
):
    rows = sum(len(window) - 1 for window in windows[0])
    needed = rows * 2 * backbone.d_model * 4  # one tap and the last layer
    free = None if free is None else free * needed
    monkeypatch.setattr("transplant.training.row_sources.available_bytes", lambda: free)
    folder = tmp_path if with_folder else None
    assert type(row_source(backbone, windows[0], (0,), folder=folder)) is kind


def test_a_full_disk_is_named(backbone, windows, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("transplant.activations.staging.os.posix_fallocate", refuse)
    with pytest.raises(StorageError, match="is full"):
        DiskRows(backbone, windows[0], (0,), tmp_path)
    assert not [*tmp_path.iterdir()]


def test_joined_rows_are_all_on_one_device():
    rows, numbers = torch.zeros(3, 8, device="meta"), torch.zeros(3, device="meta")
    part = States({0: rows}, rows, numbers, numbers, numbers)
    assert concat_states([part, part]).windows.device == rows.device


def test_patience_stops_a_run_that_no_longer_learns(backbone, windows):
    config = dataclasses.replace(CONFIG, steps=200, learning_rate=0.5, evaluate_every=2, patience=2)
    result = train_module(backbone, *windows, config)
    assert result.course.step < 200
    assert result.course.step == result.course.best_step + 2 * 2


def test_a_checkpoint_of_another_run_is_refused(tmp_path, backbone, windows):
    path = tmp_path / "run.safetensors"
    train_module(backbone, *windows, CONFIG, checkpoint=CheckpointFile(path, {"seed": 0}))
    with pytest.raises(InputError, match="seed differs: expected 1, found 0"):
        CheckpointFile(path, {"seed": 1}).load()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CorruptError, match="damaged"):
        CheckpointFile(path, {"seed": 0}).load()
    path.unlink()
    with pytest.raises(InputError, match="nothing to resume"):
        CheckpointFile(path, {"seed": 0}).load()


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, backbone, windows, monkeypatch):
    file = CheckpointFile(tmp_path / "run.safetensors", {})
    with pytest.raises(Interrupted):
        train_module(backbone, *windows, CONFIG, checkpoint=file, progress=stop_at(5))
    before = file.path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_file, "save_file", full)
    with pytest.raises(StorageError, match="no space left"):
        train_module(backbone, *windows, CONFIG, checkpoint=file, resume=True)
    assert file.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.safetensors"]


def test_the_rate_rises_then_falls_to_the_floor():
    rates = [warmup_cosine(step, 100, warmup=0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert warmup_cosine(100, 100) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"d_abi": -1}, {"window": 1}, {"warmup": 1.5}, {"batch": 0}]
)
def test_a_recipe_that_cannot_work_is_refused(wrong):
    with pytest.raises(InputError):
        dataclasses.replace(CONFIG, **wrong)
