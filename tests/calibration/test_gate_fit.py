"""A gate that is fitted tells a module's domain from other text, and says what it costs."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.backbones.fingerprint import hash_parameters, hash_tensors
from transplant.calibration.config import GateConfig
from transplant.calibration.gate_fit import GateText, fit_gate
from transplant.errors import InputError
from transplant.evaluation.likelihood import score_documents
from transplant.modules.gate import Gated
from transplant.text.splits import split_documents
from transplant.text.spread import spread_windows
from transplant.text.windows import Window
from transplant.training.config import TrainConfig
from transplant.training.loop import train_module

RECIPE = TrainConfig(
    d_abi=32, steps=60, batch=4, window=64, evaluate_every=20, learning_rate=0.01, patience=9
)
CONFIG = GateConfig(tokens=3000, calibration_tokens=1500, window=64, most_worse=0.3)


def own_words(backbone, number, seed):
    """What a backbone says by itself: text on which any module can only be worse."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = torch.randint(5, 300, (number, 1))
        ids = backbone.model.generate(start, do_sample=True, max_new_tokens=63, min_new_tokens=63)
    return [Window(tuple(row), tuple(range(64)), n) for n, row in enumerate(ids.tolist())]


@pytest.fixture(scope="module")
def scene(tiny_corpus, tiny_tokenizer):
    """A module trained on the tiny corpus, that corpus, and what the backbone says itself."""
    backbone = tiny_backbone("llama", tiny_tokenizer, seed=1)
    split = split_documents(tiny_corpus)
    ours = [
        spread_windows(documents, tiny_tokenizer, 64, 4000)
        for documents in (split.train, split.calibration, split.eval)
    ]
    theirs = [own_words(backbone, 120, seed) for seed in range(3)]
    correction = train_module(backbone, ours[0], ours[1], RECIPE).correction
    domain, general = (GateText(side[0], side[1]) for side in (ours, theirs))
    return backbone, correction.requires_grad_(False), domain, general, (ours[2], theirs[2])


def test_a_gate_keeps_the_gain_and_spares_other_text(scene):
    backbone, correction, domain, general, (ours, theirs) = scene
    was = hash_parameters(backbone.model), hash_tensors(correction.state_dict())
    found = fit_gate(backbone, correction, domain, general, CONFIG)
    assert was == (hash_parameters(backbone.model), hash_tensors(correction.state_dict()))
    systems = {"raw": None, "ungated": correction, "gated": Gated(correction, found.gate)}
    on, off = (score_documents(backbone, text, systems) for text in (ours, theirs))
    gain = on["raw"].per_token - on["ungated"].per_token
    assert on["raw"].per_token - on["gated"].per_token > 0.4 * gain > 0
    assert off["ungated"].perplexity > 2 * off["raw"].perplexity  # what it is without one
    assert off["gated"].perplexity < 1.5 * off["raw"].perplexity
    assert found.chosen.worse <= CONFIG.most_worse
    assert found.chosen.kept == max(one.kept for one in found.tried)
    assert [one.memory for one in found.tried] == [*CONFIG.memories]


def test_a_classifier_of_the_wrong_side_keeps_little(scene):
    """The control: with the two training texts exchanged the gate opens where it should not."""
    backbone, correction, domain, general, _ = scene
    told = fit_gate(backbone, correction, domain, general, CONFIG).chosen
    blind = fit_gate(
        backbone, correction, GateText(general.train, domain.calibration),
        GateText(domain.train, general.calibration), CONFIG,
    ).chosen  # fmt: skip
    assert blind.kept < told.kept - 0.2
    assert blind.worse <= CONFIG.most_worse


def test_memory_is_worth_something(scene):
    backbone, correction, domain, general, _ = scene
    found = fit_gate(backbone, correction, domain, general, CONFIG)
    at_once = next(one for one in found.tried if one.memory == 0)
    assert found.chosen.kept > at_once.kept + 0.1


def test_a_module_that_brings_nothing_is_refused(scene):
    backbone, correction, domain, general, _ = scene
    silent = type(correction)(correction.interface, correction.module)
    weight = silent.interface.proj_out.weight.clone()
    try:
        silent.interface.proj_out.weight.zero_()
        silent.interface.proj_out.bias.zero_()
        with pytest.raises(InputError, match="brings nothing"):
            fit_gate(backbone, silent, domain, general, CONFIG)
    finally:
        silent.interface.proj_out.weight.copy_(weight)
    with pytest.raises(InputError, match="memories"):
        GateConfig(memories=(2.0,))


def test_the_classifier_does_not_depend_on_the_batches(scene):
    backbone, correction, domain, general, _ = scene
    first = fit_gate(backbone, correction, domain, general, CONFIG).gate
    turned = GateText([*domain.train][::-1], domain.calibration)
    again = fit_gate(backbone, correction, turned, general, CONFIG).gate
    torch.testing.assert_close(first.weight, again.weight, atol=1e-3, rtol=1e-3)
