"""Calibration by gradient steps on tiny backbones: what moves, what does not, what is reached."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.calibration.tiny_training import D_ABI, QUICK, TRAIN, windows_of
from tests.linked import in_two
from tests.tiny import LAYERS, WIDTH, tiny_backbone
from transplant.backbones.fingerprint import hash_parameters, hash_tensors
from transplant.calibration.objectives.batches import TextBatches, all_batches, some_batches
from transplant.calibration.objectives.config import LearnConfig
from transplant.calibration.objectives.corr_closed import turned
from transplant.calibration.objectives.run import Material, fit_by
from transplant.calibration.objectives.spec import SPECS
from transplant.calibration.objectives.train import mean_of
from transplant.errors import InputError
from transplant.modules.correction import Correction
from transplant.modules.interface import Interface
from transplant.modules.untrained import random_module
from transplant.training.loop import mean_loss, new_correction, train_module
from transplant.training.row_sources import CachedRows

FROM_ORACLE = ("corr-mse", "corr-mse-weighted", "corr-mse-curriculum", "logit-mse", "kl", "kd")


@pytest.mark.parametrize("name", [*FROM_ORACLE, "lm"])
def test_two_processes_take_the_steps_of_one(name, material):
    start = _start(material.target, 5)

    def learnt():
        config = dataclasses.replace(QUICK, steps=6, evaluate_every=3, pull=1e-2)
        made = fit_by(name, start, material, config)
        return made.course.history, made.correction.state_dict()

    history, alone = learnt()
    both = in_two(learnt)
    for ours, found in both:
        assert len(ours) == len(history) == 3
        for (step, loss), (step_alone, loss_alone) in zip(ours, history, strict=True):
            assert (step, loss) == (step_alone, pytest.approx(loss_alone, rel=1e-4))
        for key, tensor in alone.items():
            torch.testing.assert_close(found[key], tensor, rtol=1e-3, atol=1e-5)
    assert hash_tensors(both[0][1]) == hash_tensors(both[1][1])


def test_what_is_held_out_is_shared(material):
    start = _start(material.target, 5)
    held = [*all_batches(TextBatches(material.target, material.calibration, material.oracle))]
    counted = in_two(lambda: count_judged(held, start))
    assert sum(counted) == len(held) > max(counted)


def count_judged(held, correction):
    """Of how many batches this process computes the loss."""
    seen = []

    def loss(batch, change, done):  # noqa: ARG001
        seen.append(batch)
        return change.square().mean()

    mean_of(loss, correction, held, 1.0)
    return len(seen)


@pytest.fixture(scope="module")
def material(tiny_tokenizer, text):
    """A backbone with an oracle on it: a module and an interface trained there."""
    target = tiny_backbone("llama", tiny_tokenizer, seed=1)
    train, calibration = (
        CachedRows(target, windows_of(target, side), range(LAYERS + 1))
        for side in (text.train, text.calibration)
    )
    oracle = train_module(target, train, calibration, TRAIN, start=_start(target, 1)).correction
    return Material(target=target, train=train, calibration=calibration, oracle=oracle)


def _start(target, seed):
    return new_correction(target.d_model, D_ABI, (LAYERS,), seed)


def without_output(correction):
    """The same module and input side; an interface that writes nothing yet."""
    interface = Interface(WIDTH, D_ABI, correction.taps)
    interface.load_state_dict(correction.interface.state_dict())
    torch.nn.init.zeros_(interface.proj_out.weight)
    torch.nn.init.zeros_(interface.proj_out.bias)
    return Correction(interface, correction.module)


def error_of(material, correction):
    """Mean squared error to the oracle's correction on held-out text, against its mean square."""
    states = material.calibration.rows(range(len(material.calibration)))
    wanted = material.oracle(states.taps, states.windows)
    with torch.no_grad():
        found = correction(states.taps, states.windows)
    return ((found - wanted).square().sum() / wanted.square().sum()).item()


@pytest.mark.parametrize("name", FROM_ORACLE)
def test_p_out_alone_comes_back_where_it_is_all_that_is_missing(name, material):
    """The oracle's own module and input side: its P_out is the known answer."""
    start = without_output(material.oracle)
    random = Correction(start.interface, random_module(start.module, 0))
    config = dataclasses.replace(QUICK, train="p-out", steps=150)
    reached = {
        label: fit_by(name, one, material, config)
        for label, one in {"own": start, "random": random}.items()
    }
    losses = {label: found.course.best_loss for label, found in reached.items()}
    raw = reached["own"].course.history[0][1]
    floor = 0.0 if name != "kd" else None
    assert losses["own"] < losses["random"] < raw
    if floor is not None:
        assert losses["own"] < 0.25 * raw
        assert losses["own"] < 0.5 * losses["random"]


def test_least_squares_finds_p_out_exactly_and_a_random_module_does_not(material):
    start = without_output(material.oracle)
    solved = fit_by("corr-closed", start, material).correction
    random = Correction(start.interface, random_module(start.module, 0))
    assert error_of(material, start) == pytest.approx(1.0)
    assert error_of(material, solved) < 1e-3
    assert error_of(material, fit_by("corr-closed", random, material).correction) > 0.02
    assert torch.equal(solved.interface.proj_in.weight, material.oracle.interface.proj_in.weight)


def test_least_squares_reads_through_the_better_of_the_two_inputs(material):
    """A candidate with the anchor's module behind another P_in: the anchor's own is the answer."""
    lost = Correction(_start(material.target, 7).interface, material.oracle.module)
    solved = fit_by("corr-closed", lost, material).correction
    assert torch.equal(solved.interface.proj_in.weight, material.oracle.interface.proj_in.weight)
    assert error_of(material, solved) < 1e-3
    assert lost.interface.proj_out.weight.abs().max() == 0  # what was given is not touched


def test_least_squares_is_no_worse_than_steps_in_p_out(material):
    candidate = _start(material.target, 7)
    closed = fit_by("corr-closed", candidate, material).correction
    config = dataclasses.replace(QUICK, train="p-out", steps=200)
    stepped = fit_by("corr-mse", candidate, material, config).correction
    assert error_of(material, closed) <= error_of(material, stepped)


def test_a_search_of_p_in_gets_closer_than_least_squares_and_moves_nothing_else(material):
    candidate = _start(material.target, 7)
    before = {k: v.clone() for k, v in candidate.state_dict().items()}
    closed = fit_by("corr-closed", candidate, material).correction
    searched = fit_by("corr-solve", candidate, material).correction
    assert error_of(material, searched) < 0.7 * error_of(material, closed)
    assert hash_tensors(searched.module.state_dict()) == hash_tensors(candidate.module.state_dict())
    assert all(torch.equal(before[k], v) for k, v in candidate.state_dict().items())
    again = fit_by("corr-solve", candidate, material).correction
    assert hash_tensors(again.state_dict()) == hash_tensors(searched.state_dict())


def test_a_turned_input_meets_the_module_where_it_knows_its_way(material):
    """The anchor's P_in, turned to the candidate's, makes what the candidate's own would make."""
    candidate = _start(material.target, 7)
    rows = some_batches(TextBatches(material.target, material.train, material.oracle), 10**6)
    found = turned(material.oracle.interface, candidate.interface, rows)
    taps = rows[0].states.taps
    with torch.no_grad():
        own, met, plain = (
            one.read_in(taps) for one in (candidate.interface, found, material.oracle.interface)
        )
    assert (met - own).square().mean() < 0.5 * (plain - own).square().mean()


@pytest.mark.parametrize(("rows", "units"), [(1, 1), (65, 2), (10**6, None)])
def test_some_batches_are_as_many_as_have_the_rows(rows, units, material):
    batches = TextBatches(material.target, material.train, material.oracle)
    drawn = some_batches(batches, rows)
    assert sum(map(len, drawn)) >= min(rows, sum(map(len, all_batches(batches))))
    assert units is None or sum(map(len, drawn[:-1])) < rows
    assert units is not None or len(drawn) == len(batches)


@pytest.mark.parametrize("name", ["kd", "corr-mse", "lm"])
@pytest.mark.parametrize("train", ["p-out", "interface"])
def test_nothing_moves_but_what_is_named(name, train, material):
    candidate = _start(material.target, 7)
    before = hash_tensors(candidate.module.state_dict())
    oracle = hash_tensors(material.oracle.state_dict())
    backbone = hash_parameters(material.target.model)
    started = {k: v.clone() for k, v in candidate.state_dict().items()}
    learnt = fit_by(name, candidate, material, dataclasses.replace(QUICK, train=train)).correction
    assert hash_tensors(learnt.module.state_dict()) == before
    assert hash_tensors(material.oracle.state_dict()) == oracle
    assert hash_parameters(material.target.model) == backbone
    assert all(torch.equal(started[k], v) for k, v in candidate.state_dict().items())
    moved = {k for k, v in learnt.state_dict().items() if not torch.equal(v, started[k])}
    out = {"interface.proj_out.weight", "interface.proj_out.bias"}
    assert moved == out if train == "p-out" else moved > out
    assert not any(parameter.requires_grad for parameter in learnt.parameters())


def test_a_spring_holds_the_interface_where_it_started(material):
    start = without_output(material.oracle)

    def run(pull):
        learnt = fit_by("lm", start, material, dataclasses.replace(QUICK, pull=pull)).correction
        distance = sum(
            (now - then).square().sum().item()
            for now, then in zip(
                learnt.interface.parameters(), start.interface.parameters(), strict=True
            )
        )
        return distance, mean_loss(material.target, material.calibration, learnt)

    (free, free_loss), (held, held_loss) = run(0.0), run(100.0)
    assert held < 0.05 * free
    assert free_loss < held_loss <= mean_loss(material.target, material.calibration, start) + 1e-6


def test_what_is_kept_is_never_worse_than_the_start_on_what_is_held_out(material):
    wild = dataclasses.replace(QUICK, learning_rate=10.0, steps=10, evaluate_every=5)
    learnt = fit_by("lm", material.oracle, material, wild)
    assert learnt.course.best_step == 0
    assert len(learnt.course.history) == 3
    for name, tensor in learnt.correction.state_dict().items():
        assert torch.equal(tensor, material.oracle.state_dict()[name])


def test_the_same_seed_gives_the_same_interface(material):
    one, two, other = (
        fit_by("lm", _start(material.target, 7), material, dataclasses.replace(QUICK, seed=seed))
        for seed in (0, 0, 1)
    )
    hashes = [hash_tensors(found.correction.interface.state_dict()) for found in (one, two, other)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("name", [name for name in SPECS if name != "closed-form"])
def test_a_missing_need_is_named(name, material):
    bare = Material(target=material.target)
    with pytest.raises(InputError, match=SPECS[name].needs[0]):
        fit_by(name, material.oracle, bare)


def test_options_out_of_range_are_refused():
    for wrong in (
        {"train": "module"},
        {"steps": 0},
        {"schedule": "none"},
        {"pull": -1.0},
        {"head_type": "int8"},
    ):
        with pytest.raises(InputError):
            LearnConfig(**wrong)
