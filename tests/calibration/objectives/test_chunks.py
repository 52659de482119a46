"""Chunks between shared boundaries: sums of both sides, and what teaching by them does."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional

from tests.calibration.tiny_training import QUICK
from tests.linked import in_two
from tests.tiny import tiny_backbone
from transplant.alignment.tokens import count_tokens
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import align, pair_for_move
from transplant.calibration.objectives.chunks import ChunkBatches, chunk_nats
from transplant.calibration.objectives.donor_kd import DonorBatches, donor_kd
from transplant.calibration.objectives.run import Material, fit_by
from transplant.calibration.objectives.shared_step import Subject, add_up, part_of_loss
from transplant.calibration.objectives.train import learn, mean_of
from transplant.calibration.output_map import DonorMix, map_outputs
from transplant.calibration.windows_together import paired_windows
from transplant.errors import InputError
from transplant.modules.correction import Correction
from transplant.modules.hosted import HostedModel
from transplant.ranks import current
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import new_correction

MOVE = MoveConfig(excerpts=12, excerpt_chars=200, held_out_excerpts=6, stride=1)


@pytest.fixture(scope="module")
def scene(text, tiny_texts):
    one, other = (train_tokenizer("bpe", tiny_texts, size, context=128) for size in (300, 420))
    backbone = tiny_backbone("llama", one, seed=1)
    correction = new_correction(backbone.d_model, 8, (-1,), seed=3)
    correction = Correction(correction.interface, correction.module).requires_grad_(False)
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.3)
    donor = HostedModel("tales@donor", backbone, correction)
    target = tiny_backbone("gpt2", other, seed=2)
    counts = count_tokens(one("".join(tiny_texts[:20])).input_ids, one)
    pairing = pair_for_move(donor, target, text, counts, MOVE)
    output_map = map_outputs(backbone, target, counts, MOVE)
    start = Correction(align(pairing, MOVE).interface, correction.module)
    return Material(target=target, pairing=pairing, output_map=output_map), start


def chunks_of(material, taps=(), **mix):
    pairing = material.pairing
    return ChunkBatches(
        pairing.donor.backbone, material.target, pairing.excerpts, (pairing.donor_taps, taps),
        pairing.change, material.output_map, DonorMix(**mix),
    )  # fmt: skip


@torch.no_grad()
def test_the_teacher_changes_each_chunk_as_the_donor_does(scene):
    material, _ = scene
    pairing = material.pairing
    changed, same, raw = (
        chunks_of(material, gain=gain, raw_weight=weight)
        for gain, weight in ((1.0, 0.0), (0.0, 0.0), (1.0, 1.0))
    )
    assert len(changed) == len(pairing.excerpts)
    found = [changed.batch([n]).taught.sum() - same.batch([n]).taught.sum() for n in range(4)]
    assert float(torch.stack(found).abs().min()) > 1e-3
    both = changed.batch([2, 0])
    assert len(both.taught) == int(both.chunks.max()) + 1
    torch.testing.assert_close(both.taught, torch.cat([changed.batch([n]).taught for n in (2, 0)]))
    # A product of the target with the whole donor's ratio is the donor itself.
    donor = pairing.donor
    left = next(paired_windows(donor.backbone, material.target, pairing.excerpts))[0]
    drawn = raw.batch(range(len(raw))).taught.sum()
    every = sum(likelihood_of(donor, window) for window in left)
    assert float(drawn) == pytest.approx(every, rel=0.15)  # ends of windows are in no chunk


def likelihood_of(donor, window):
    states = donor.backbone.read([window], donor.correction.taps).labelled()
    logits = (states.h_last + donor.correction(states.taps, states.windows)) @ (
        donor.backbone.unembedding.T
    )
    return float(functional.cross_entropy(logits, states.labels, reduction="sum"))


def test_its_gradient_is_that_of_the_divergence(scene):
    material, start = scene
    batch = chunks_of(material).batch([0, 1])
    change = 0.1 * torch.randn(len(batch), material.target.d_model)
    change.requires_grad_(True)
    value = chunk_nats(batch, change, 0.0)
    (found,) = torch.autograd.grad(value, change)
    logits = material.target.head(batch.states.h_last + change)
    losses = functional.cross_entropy(logits, batch.states.labels, reduction="none")
    nats = torch.zeros(len(batch.taught)).index_add(0, batch.chunks, losses)
    direct = (nats - batch.taught + batch.taught * (batch.taught / nats).log()).mean()
    (expected,) = torch.autograd.grad(direct, change)
    torch.testing.assert_close(value, direct, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-7)
    assert float(found.abs().max()) > 1e-5


def test_learning_from_chunks_alone_brings_them_nearer_to_the_teacher(scene):
    material, start = scene
    config = dataclasses.replace(QUICK, steps=30, batch=4, evaluate_every=10)
    read = chunks_of(material, start.taps)
    held = [read.batch([number]) for number in range(len(read))]
    learnt = learn(start, [Subject(read, chunk_nats)], held, config)
    before, after = (mean_of(chunk_nats, one, held, 1.0) for one in (start, learnt.correction))
    assert after < 0.98 * before


def test_chunks_are_learned_from_where_they_have_a_weight_and_a_text(scene):
    material, start = scene
    config = dataclasses.replace(QUICK, train="p-out", steps=5, evaluate_every=5)
    read = [
        fit_by("donor-kd", start, material, dataclasses.replace(config, chunks=weight))
        for weight in (0.0, 1.0)
    ]
    assert read[0].course.history[0] == read[1].course.history[0]
    assert read[0].course.history[1] != read[1].course.history[1]
    nowhere = dataclasses.replace(material.pairing, excerpts=())
    without = dataclasses.replace(material, pairing=nowhere)
    with pytest.raises(InputError, match="read from a text"):
        fit_by("donor-kd", start, without, dataclasses.replace(config, chunks=1.0))


@pytest.mark.parametrize("loss", [chunk_nats, donor_kd])
def test_two_processes_share_a_batch_that_the_donor_teaches(scene, loss):
    material, start = scene
    batches = chunks_of(material, start.taps, gain=0.7)
    if loss is donor_kd:
        pairing = material.pairing
        batches = DonorBatches(
            material.target, pairing.fitted, pairing.change, material.output_map, DonorMix()
        )
    units = [0, 1, 2][: len(batches)]

    def gradient():
        correction = copy.deepcopy(start).requires_grad_(False)
        moving = [*correction.interface.proj_out.requires_grad_(True).parameters()]
        part = part_of_loss(
            Subject(batches, loss), correction, units, 0.5, torch.float32, current()
        )
        if part.requires_grad:
            part.backward()
        return add_up(moving, part, current()), moving[0].grad

    value, slope = gradient()
    assert slope.norm() > 0
    for found, ours in in_two(gradient):
        assert found == pytest.approx(value, rel=1e-4)
        torch.testing.assert_close(ours, slope, rtol=1e-3, atol=1e-6)
