"""The wanted change of a target's logits, of a large vocabulary as of a small one."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.alignment.tokens import count_tokens
from transplant.calibration import large_vocabulary
from transplant.calibration import likely_rows as file
from transplant.calibration.changes.spec import CHANGES
from transplant.calibration.config import MoveConfig
from transplant.calibration.mapped_corrections import map_corrections
from transplant.calibration.output_map import map_outputs
from transplant.calibration.pairs import pair_text
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import new_correction

CONFIG = MoveConfig(likely_tokens=24, rest_tokens=0, donor_word=0.3)


@pytest.fixture(scope="module")
def scene(tiny_corpus, tiny_texts):
    """Two backbones of two vocabularies, rows that both have read, and a correction of the one."""
    one, other = (train_tokenizer("bpe", tiny_texts, size, context=128) for size in (330, 390))
    donor = tiny_backbone("gpt2", one, seed=1)
    target = tiny_backbone("gemma2", other, seed=2, final_logit_softcapping=20.0)
    paired = pair_text(donor, target, tiny_corpus[:6], donor.all_taps, target.all_taps[-1:])
    counts = count_tokens(one("".join(tiny_texts[:20])).input_ids, one)
    correction = new_correction(donor.d_model, 8, donor.all_taps, seed=3)
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.3)
    return map_outputs(donor, target, counts, CONFIG), correction, target, paired


def by_token(found, rows):
    order = found.tokens[rows].argsort(1)
    return tuple(part[rows].gather(1, order) for part in vars(found).values())


def of_the_same_tokens(ours, theirs):
    """The rows that kept the same tokens; of two as likely at the cut, rounding keeps either."""
    same = (ours.tokens.sort(1).values == theirs.tokens.sort(1).values).all(1)
    weights = (found.weights[~same].sort(1).values for found in (ours, theirs))
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-4)
    assert same.float().mean() > 0.98
    return same


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("donor_word", [0.0, 0.3])
def test_a_large_vocabulary_gives_the_changes_of_a_small_one(
    scene, donor_word, change, monkeypatch
):
    output_map, correction, target, paired = scene
    config = dataclasses.replace(CONFIG, donor_word=donor_word, change=change)
    dense = map_corrections(output_map, correction, target, paired, config)
    monkeypatch.setattr(large_vocabulary, "WHOLE", 100)
    monkeypatch.setattr(large_vocabulary, "TARGETS", 40)  # all of them are likely
    monkeypatch.setattr(file, "DONORS", 40)
    sparse = map_corrections(output_map, correction, target, paired, config)
    assert not dense.likely
    assert len(sparse.likely) == len(paired.batches)
    for ours, theirs in zip(sparse.changes, dense.changes, strict=True):
        rows = of_the_same_tokens(ours, theirs)
        for found, expected in zip(by_token(ours, rows), by_token(theirs, rows), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    for ours, theirs in zip(sparse.corrections, dense.corrections, strict=True):
        assert torch.equal(ours, theirs)


@torch.no_grad()
def test_the_vocabularies_are_gone_through_once_for_the_same_rows(scene, monkeypatch):
    output_map, correction, target, paired = scene
    monkeypatch.setattr(large_vocabulary, "WHOLE", 100)
    vocabularies = []

    def counted(head, *rest):
        vocabularies.append(head.vocab)
        return likely(head, *rest)

    likely = file.likely_tokens
    for module in (file, large_vocabulary):
        monkeypatch.setattr(module, "likely_tokens", counted)
    first = map_corrections(output_map, correction, target, paired, CONFIG)
    of_target = [target.vocab_size] * len(paired.batches)
    assert [size for size in vocabularies if size == target.vocab_size] == of_target
    vocabularies.clear()
    quiet = dataclasses.replace(CONFIG, donor_word=0.0)
    map_corrections(output_map, correction, target, paired, quiet, like=first)
    assert vocabularies == []
    mixed = map_corrections(output_map, correction, target, paired.shuffled(1), CONFIG, like=first)
    assert vocabularies == []  # the rows are in another order, and no others
    fresh = map_corrections(output_map, correction, target, paired.shuffled(1), CONFIG)
    for ours, theirs in zip(mixed.changes, fresh.changes, strict=True):
        assert torch.equal(ours.tokens, theirs.tokens)
        torch.testing.assert_close(ours.change, theirs.change)


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES)
def test_a_donor_without_what_it_learned_changes_nothing(scene, change, monkeypatch):
    output_map, correction, target, paired = scene
    monkeypatch.setattr(large_vocabulary, "WHOLE", 100)
    monkeypatch.setattr(file, "DONORS", 40)
    config = dataclasses.replace(CONFIG, donor_word=0.0, change=change)
    taught = map_corrections(output_map, correction, target, paired, config)
    without = map_corrections(output_map, None, target, paired, config, like=taught)
    assert max(float(one.change.abs().max()) for one in without.changes) < 1e-4
    assert max(float(one.change.abs().max()) for one in taught.changes) > 0.1
