"""Paired rows in files: the same rows, the same fits, and nothing left behind."""

from __future__ import annotations

import dataclasses
import weakref

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant import memory
from transplant.alignment.tokens import count_tokens
from transplant.calibration import pairs as pairs_module
from transplant.calibration import windows_together
from transplant.calibration.closed_form import fit_module_output
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import align, pair_also, pair_for_move, want
from transplant.calibration.output_map import map_outputs
from transplant.calibration.paired_rows import LazyBatch, LazyBatches
from transplant.calibration.stored_pairs import Side
from transplant.errors import MemoryLimitError
from transplant.modules.hosted import HostedModel
from transplant.ranks import Ranks
from transplant.text.documents import Document
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import new_correction

CONFIG = MoveConfig(excerpts=40, excerpt_chars=240, held_out_excerpts=12, stride=2)
LENGTHS = (150, 40, 90, 200)


@pytest.fixture(scope="module")
def sides(tiny_texts):
    bpe = train_tokenizer("bpe", tiny_texts, 330, context=128)
    backbone = tiny_backbone("gpt2", bpe, seed=1)
    donor = HostedModel("tales@tiny", backbone, new_correction(32, 16, (1, 2), seed=0))
    digits = train_tokenizer("bpe-digits", tiny_texts, 360, context=128)
    return donor, tiny_backbone("llama", digits, seed=3, hidden_size=48)


@pytest.fixture
def both(sides, text, tmp_path, monkeypatch):
    """The same pairing in memory and in files."""
    held = pair_for_move(*sides, text, {"a": 1}, CONFIG, tmp_path)
    assert isinstance(held.fitted.batches, tuple)
    monkeypatch.setattr(pairs_module.pair_text, "__kwdefaults__",
                        {**pairs_module.pair_text.__kwdefaults__, "in_memory": 0})  # fmt: skip
    stored = pair_for_move(*sides, text, {"a": 1}, CONFIG, tmp_path)
    assert isinstance(stored.fitted.batches, LazyBatches)
    return held, stored


def assert_same_rows(ours, theirs):
    for one, two in zip(ours.batches, theirs.batches, strict=True):
        for a, b in ((one.donor, two.donor), (one.target, two.target)):
            assert a.taps.keys() == b.taps.keys()
            for tap, states in a.taps.items():
                assert torch.equal(states, b.taps[tap])
            assert torch.equal(a.h_last, b.h_last)
            assert torch.equal(a.labels, b.labels)
            assert torch.equal(a.ends, b.ends)
        assert one.unpaired == two.unpaired


def test_files_hold_the_rows_that_memory_would(both):
    held, stored = both
    assert_same_rows(held.fitted, stored.fitted)
    assert_same_rows(held.held_out, stored.held_out)
    assert (held.fitted.rows, held.fitted.paired_share) == (
        stored.fitted.rows, stored.fitted.paired_share,
    )  # fmt: skip
    assert len(stored.fitted.batches) > 1


def test_shuffled_rows_are_the_same_too(both):
    held, stored = both
    assert_same_rows(held.fitted.shuffled(3), stored.fitted.shuffled(3))
    assert isinstance(stored.fitted.shuffled(3).batches, LazyBatches)
    with pytest.raises(AssertionError):
        assert_same_rows(held.fitted, stored.fitted.shuffled(3))


def test_a_fit_on_files_is_the_fit_in_memory(both):
    held, stored = both
    for config in (CONFIG, dataclasses.replace(CONFIG, columns=30)):
        one, two = align(held, config), align(stored, config)
        assert one.quality == two.quality
        assert torch.equal(one.interface.proj_in.weight, two.interface.proj_in.weight)


def test_more_text_does_not_bring_files_into_memory(both, text, tmp_path):
    held, stored = both
    more = pair_also(stored, text.train[:4], CONFIG, tmp_path)
    assert isinstance(more.fitted.batches, LazyBatches)
    assert more.fitted.rows > stored.fitted.rows
    mixed = pair_also(held, text.train[:4], CONFIG, tmp_path)  # in memory and in files
    assert_same_rows(mixed.fitted, more.fitted)


def test_no_file_keeps_its_name(both, tmp_path):
    assert both[1].fitted.rows > 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_rows_that_would_take_half_of_what_is_free_go_to_files(sides, text, tmp_path, monkeypatch):
    monkeypatch.setattr(pairs_module, "available_bytes", lambda: 300_000)
    low = pair_for_move(*sides, text, {"a": 1}, CONFIG, tmp_path)
    assert isinstance(low.fitted.batches, LazyBatches)


def test_where_one_process_has_no_room_all_keep_rows_in_files(sides, text, tmp_path, monkeypatch):
    """They would wait for one another else: rows in memory are exchanged, files are not."""

    class Beside(Ranks):
        def largest(self, number):
            assert number == 0  # here there is room
            return 1

    monkeypatch.setattr(pairs_module, "current", lambda: Beside(0, 2))
    found = pair_for_move(*sides, text, {"a": 1}, CONFIG, tmp_path)
    assert isinstance(found.fitted.batches, LazyBatches)
    assert isinstance(found.held_out.batches, LazyBatches)


def test_what_does_not_fit_is_refused_before_a_backbone_runs(sides, text, monkeypatch):
    def never(*_):
        raise AssertionError("a backbone ran")

    donor, target = sides
    monkeypatch.setattr(memory, "available_bytes", lambda: 50_000)
    monkeypatch.setattr(target, "read", never)
    monkeypatch.setattr(donor.backbone, "read", never)
    with pytest.raises(MemoryLimitError, match=r"moments.*GiB free.*`columns`"):
        pair_for_move(donor, target, text, {"a": 1}, CONFIG)
    narrow = dataclasses.replace(CONFIG, columns=8)
    monkeypatch.setattr(memory, "available_bytes", lambda: 300_000)
    monkeypatch.setattr(pairs_module, "available_bytes", lambda: 300_000)
    with pytest.raises(MemoryLimitError, match=r"paired rows.*`excerpts`"):
        pair_for_move(donor, target, text, {"a": 1}, narrow)


def test_the_output_fit_holds_one_batch_of_a_file_at_a_time(both, sides, tiny_texts):
    _, stored = both
    donor, target = sides
    counts = count_tokens(donor.tokenizer("".join(tiny_texts[:20])).input_ids, donor.tokenizer)
    wanted = want(stored, map_outputs(donor.backbone, target, counts, CONFIG), CONFIG)
    reading, held, most = align(stored, CONFIG).interface, [], []

    def watched(batch):
        def read():
            rows = batch.read()
            held.append(weakref.ref(rows.target.h_last))
            most.append(sum(one() is not None for one in held))
            return rows

        return LazyBatch(batch.rows, batch.unpaired, read)

    batches = LazyBatches([*map(watched, stored.fitted.batches.batches)])
    fitted = dataclasses.replace(stored.fitted, batches=batches)
    fit_module_output(reading, stored.correction.module, fitted, wanted, CONFIG)
    assert len(batches) > 2
    assert max(most) <= 2  # the one before is there until the next one is read


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_windows_that_run_alone_have_the_rows_of_a_padded_batch(family, tiny_texts):
    """In any order, also twice, and of a window of which none is kept."""
    tokenizer = train_tokenizer("bpe", tiny_texts, 330, context=128)
    backbone = tiny_backbone(family, tokenizer, seed=1)
    texts = [Document(text[:length], "") for text, length in zip(tiny_texts, LENGTHS, strict=False)]
    windows = [*windows_together._windows(backbone, texts)]
    assert len({*map(len, windows)}) == len(LENGTHS)
    counts = [len(backbone.rows_of(window).ids) for window in windows]
    kept = torch.arange(sum(counts))
    kept = kept[(kept < counts[0]) | (kept >= sum(counts[:2]))]
    kept = torch.cat([kept.flip(0), kept[::3]])
    batch = backbone.read(windows, (1, 2)).select(kept)
    alone = Side(backbone, (1, 2)).read(windows, kept)
    for tap in (1, 2):
        torch.testing.assert_close(alone.taps[tap], batch.taps[tap], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(alone.h_last, batch.h_last, rtol=1e-4, atol=1e-5)
    for name in ("labels", "ends", "windows"):
        assert torch.equal(getattr(alone, name), getattr(batch, name))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(alone.h_last, batch.h_last.flip(0))


@pytest.mark.parametrize("spread", [False, True])
def test_no_padding_is_computed_on_a_processor(spread, sides, tiny_texts, monkeypatch):
    """Where layers may have to be read from a disk they are read for a batch at a time."""
    _, target = sides
    if spread:
        monkeypatch.setattr(target.model, "hf_device_map", {"": "cpu"}, raising=False)
    texts = [Document(text[:length], "") for text, length in zip(tiny_texts, LENGTHS, strict=False)]
    windows, shapes = [*windows_together._windows(target, texts)], []
    handle = target.reader().register_forward_pre_hook(
        lambda _, __, given: shapes.append(given["input_ids"].shape), with_kwargs=True
    )
    try:
        Side(target, target.all_taps).read(windows, torch.arange(0, sum(map(len, windows)), 4))
    finally:
        handle.remove()
    positions = sum(batch * length for batch, length in shapes)
    longest = max(map(len, windows)) + target.skipped
    alone = sum(len(window) + target.skipped for window in windows)
    assert positions == (longest * len(windows) if spread else alone)
