"""Capturing a tiny backbone to a file, and training from what was captured."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from tests.tiny import LAYERS, tiny_backbone
from transplant.activations import capture as capturing
from transplant.activations.capture import Taps, capture, read_taps, token_table
from transplant.activations.layout import CaptureHeader
from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.backbones.parts import PLACES, blocks_of, find_part
from transplant.errors import InputError, NumericalError, StorageError
from transplant.text.windows import batches, cut_windows
from transplant.training.config import TrainConfig
from transplant.training.file_rows import FileRows
from transplant.training.loop import train_module

pytestmark = pytest.mark.bits

FAMILIES = (
    "gpt2",
    "llama",
    "t5",
    "gemma3_text",
    "phi3",
    "olmo2",
    "smollm3",
    "mixtral",
    "qwen3_moe",
)
ALL = tuple(range(LAYERS + 1))


class Scene:
    """A backbone, its windows, and the file that they are captured to."""

    def __init__(self, folder, family, tokenizer, corpus, taps, *, dtype="fp32", pool="none"):
        self.backbone = tiny_backbone(family, tokenizer)
        self.path = folder / "acts.h5"
        self.dtype, self.pool = dtype, pool
        self.windows = cut_windows(corpus, tokenizer, 24)
        self.taps = Taps(tuple(map(str, taps)))
        self.tokens = token_table(self.backbone, corpus, self.windows, pool)
        self.header = CaptureHeader(
            backbone=self.backbone.name,
            family=family,
            backbone_sha256=self.backbone.weights_sha256,
            tokenizer_sha256=self.backbone.tokenizer_sha256,
            corpus="tales",
            corpus_fingerprint="0" * 64,
            window=24,
            pool=pool,
            dtype=dtype,
            taps=self.taps.names,
            widths=(self.backbone.d_model,) * len(self.taps.names),
            made={},
        )

    def capture(self, *, resume=False, progress=None):
        start = ActivationWriter.resume if resume else ActivationWriter.create
        with start(self.path, self.header, self.tokens) as writer:
            capture(
                self.backbone, self.windows, self.tokens, self.taps, writer,
                dtype=self.dtype, pool=self.pool, progress=progress,
            )  # fmt: skip
        return self

    def sha256(self):
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


@pytest.fixture
def scene(tmp_path, tiny_tokenizer, tiny_corpus):
    def make(family="llama", taps=ALL, **options):
        return Scene(tmp_path, family, tiny_tokenizer, tiny_corpus, taps, **options)

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_holds_what_the_backbone_computes_row_for_row(scene, family):
    made = scene(family).capture()
    with Activations.open(made.path) as acts:
        for number in (0, len(made.windows) // 2, len(made.windows) - 1):
            states = made.backbone.read([made.windows[number]], ALL)
            rows = acts.rows_of_window(number)
            assert len(rows) == len(states)
            for tap in ALL:
                held = acts.tap(str(tap), rows.start, rows.stop)
                torch.testing.assert_close(held, states.taps[tap], rtol=1e-4, atol=1e-5)
            tokens = acts.tokens(rows.start, rows.stop)
            assert tokens.labels.tolist() == states.labels.tolist()
            assert tokens.ends.tolist() == states.ends.tolist()
        other = made.backbone.read([made.windows[1]], ALL).taps[0]
        assert not torch.allclose(acts.tap("0", 0, len(other)), other)  # the control


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_are_what_a_block_adds(scene, family):
    """The residual stream after a block is that before it, plus its parts (pre-norm families)."""
    made = scene(family, taps=(0, 1, "block.0.attn", "block.0.mlp"))
    attention = find_part(made.backbone, "block.0.attn").writes
    read = read_taps(made.backbone, made.windows[:5], made.taps)
    hooks = len(attention._forward_hooks)  # transformers hangs some of its own at the first call
    read_taps(made.backbone, made.windows[:5], made.taps)
    added = read["1"] - read["0"]
    parts = read["block.0.attn"] + read["block.0.mlp"]
    assert parts.shape == added.shape
    if family != "t5":  # its decoder attends to the encoder between the two
        torch.testing.assert_close(parts, added, rtol=1e-3, atol=1e-4)
    assert len(attention._forward_hooks) == hooks


@pytest.mark.parametrize("family", sorted({*PLACES} - {"opt-post-norm"}))
def test_a_pass_that_ends_early_computes_the_same(family, tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone(family, tiny_tokenizer)
    windows = cut_windows(tiny_corpus, tiny_tokenizer, 24)[:5]
    last = backbone.n_layers
    whole = backbone.read(windows, (0, 1, last))
    ran = []
    handle = blocks_of(backbone)[-1].register_forward_hook(lambda *_: ran.append(1))
    early = read_taps(backbone, windows, Taps(("1", "0", "block.0.mlp")))
    assert not ran
    for layer in (0, 1):
        assert torch.equal(early[str(layer)], whole.taps[layer])
    again = read_taps(backbone, windows, Taps(("0", str(last), "block.0.mlp")))
    assert ran  # the control: the last layer needs every block
    handle.remove()
    torch.testing.assert_close(again["block.0.mlp"], early["block.0.mlp"])
    assert torch.equal(again[str(last)], whole.taps[last])
    assert not blocks_of(backbone)[1]._forward_pre_hooks


def test_a_part_that_is_not_there_is_named(tiny_tokenizer):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    with pytest.raises(InputError, match=r"no block 9.*0 to 1"):
        find_part(backbone, "block.9.attn")
    with pytest.raises(InputError, match=r"unknown tap.*block\.0\.nose"):
        find_part(backbone, "block.0.nose")
    with pytest.raises(InputError, match="no named parts"):
        find_part(tiny_backbone("phi", tiny_tokenizer), "block.0.attn")


@pytest.mark.parametrize("at", [1, 3, 7])
def test_an_interrupted_capture_ends_with_the_same_bytes(scene, monkeypatch, at):
    monkeypatch.setattr(capturing, "SHARD_ROWS", 200)
    whole = scene().capture().sha256()
    calls = 0

    def stop(_done, _total, _note):
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt

    made = scene()
    made.path.unlink()
    with pytest.raises(KeyboardInterrupt):
        made.capture(progress=stop)
    with Activations.open(made.path, partial=True) as acts:
        assert acts.committed < acts.rows
    assert made.capture(resume=True).sha256() == whole


def test_progress_counts_up_to_the_last_row(scene, monkeypatch):
    """Batches are of like length, not in the order of the file: a place says nothing of time."""
    monkeypatch.setattr(capturing, "batches", lambda windows: batches(windows, 48))
    made, told = scene(), []
    made.capture(progress=lambda *course: told.append(course))
    steps, totals, _ = zip(*told, strict=True)
    assert len(steps) > 3
    assert list(steps) == sorted({*steps})
    assert {steps[-1], *totals} == {len(made.tokens.ids)}


def test_a_failure_of_the_writer_is_raised_where_the_batches_come_from(scene, monkeypatch):
    def full(*_):
        raise StorageError("no space left on the disk")

    monkeypatch.setattr(ActivationWriter, "write", full)
    with pytest.raises(StorageError, match="no space"):
        scene().capture()


@pytest.mark.parametrize(("dtype", "value"), [("fp16", 70_000.0), ("bf16", 3.4e38)])
def test_a_state_that_the_stored_type_cannot_hold_is_named(scene, monkeypatch, dtype, value):
    monkeypatch.setattr(capturing, "SHARD_ROWS", 200)
    made = scene(taps=(0, 1), dtype=dtype)
    wanted = made.windows[-1]
    read = capturing.read_taps

    def large(backbone, windows, taps, pool="none"):
        rows = read(backbone, windows, taps, pool)
        if wanted in windows:
            ahead = windows[: windows.index(wanted)]
            before = sum(len(backbone.rows_of(window).labels) for window in ahead)
            rows["1"][before + 2, 5] = value
        return rows

    monkeypatch.setattr(capturing, "read_taps", large)
    with pytest.raises(NumericalError, match=f"is beyond what {dtype} holds") as info:
        made.capture()
    position = 2 + int(made.tokens.first_row[-2])
    position -= int(made.tokens.first_row[np.searchsorted(made.tokens.document, wanted.document)])
    assert f"tap 1 at document {wanted.document}, position {position}, value 5" in str(info.value)
    with Activations.open(made.path, partial=True) as acts:
        assert 0 < acts.committed < acts.rows
        assert acts.tap("1").isfinite().all()
    monkeypatch.setattr(capturing, "read_taps", read)
    made.capture(resume=True)
    resumed = made.sha256()
    made.path.unlink()
    assert made.capture().sha256() == resumed


def test_a_state_that_is_no_number_is_not_called_too_large(scene, monkeypatch):
    read = capturing.read_taps

    def broken(*given):
        rows = read(*given)
        rows["1"][0, 0] = float("nan")
        return rows

    monkeypatch.setattr(capturing, "read_taps", broken)
    with pytest.raises(NumericalError, match="value 0 is no number.* a weight that is no number"):
        scene(taps=(0, 1), dtype="fp16").capture()


def test_pooled_rows_are_means_and_lasts_of_the_windows(scene):
    rows = read_taps(scene().backbone, scene().windows[:4], Taps(("1",)))["1"]
    counts = [len(window) for window in scene().windows[:4]]
    for pool, pick in (("mean", lambda part: part.mean(0)), ("last", lambda part: part[-1])):
        made = scene(taps=(1,), pool=pool)
        made.path.unlink(missing_ok=True)
        made.capture()
        expected = torch.stack([pick(part) for part in rows.split(counts)])
        with Activations.open(made.path) as acts:
            assert acts.rows == len(made.windows)
            torch.testing.assert_close(acts.tap("1", 0, 4), expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_stored_as_its_bits(scene):
    made = scene(taps=(1,), dtype="bf16").capture()
    exact = read_taps(made.backbone, made.windows[:1], made.taps)["1"]
    with Activations.open(made.path) as acts:
        held = acts.tap("1", 0, len(exact))
    assert held.dtype == torch.bfloat16
    torch.testing.assert_close(held.float(), exact, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_training_from_the_file_gives_the_weights_of_training_through_the_backbone(scene, family):
    made = scene(family).capture()
    config = TrainConfig(d_abi=8, taps=(0, LAYERS), steps=12, batch=2, window=24, evaluate_every=4)
    windows = made.windows[:12], made.windows[12:16]
    live = train_module(made.backbone, *windows, config)
    with Activations.open(made.path) as acts:
        sources = [
            FileRows(acts, numbers, (0, LAYERS), LAYERS, made.backbone.device)
            for numbers in (range(12), range(12, 16))
        ]
        blind = dataclasses.replace(config)
        made.backbone.read = None  # it is not asked
        from_file = train_module(made.backbone, *sources, blind)
    assert from_file.rows == "file"
    for one, other in zip(
        live.correction.parameters(), from_file.correction.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(live.course.best_loss, from_file.course.best_loss, rtol=1e-4)
