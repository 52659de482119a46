"""Likelihoods, recovered and the attributable shares."""

from __future__ import annotations

import math

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.errors import InputError, ShapeError
from transplant.evaluation.evidence import Ceiling, difference, weigh
from transplant.evaluation.likelihood import Likelihood, score_documents
from transplant.evaluation.scoring import window_logits
from transplant.text.windows import cut_windows


def likelihood(*nats):
    return Likelihood(torch.tensor(nats).double(), torch.full((len(nats),), 10.0).double())


SYSTEMS = {
    "raw": likelihood(40.0, 44.0, 36.0),
    "native": likelihood(20.0, 24.0, 16.0),
    "candidate": likelihood(28.0, 32.0, 24.0),
    "random_module": likelihood(42.0, 44.0, 40.0),
    "shuffled_pairs": likelihood(38.0, 42.0, 34.0),
    "linear_surrogate": likelihood(30.0, 34.0, 26.0),
    "random_refitted": likelihood(33.0, 37.0, 29.0),
}


def test_recovered_and_the_attributable_shares_by_hand():
    evidence = weigh(SYSTEMS)
    assert evidence.recovered["candidate"].mean == pytest.approx(12 / 20)
    assert evidence.recovered["native"].mean == pytest.approx(1.0)
    assert evidence.recovered["random_module"].mean < 0
    assert evidence.best_donor_free == "shuffled_pairs"
    assert evidence.donor_attributable.mean == pytest.approx(0.6 - 0.1)
    assert evidence.best_module_free == "linear_surrogate"
    assert evidence.module_attributable.mean == pytest.approx(0.6 - 0.5)
    assert evidence.ppl["raw"] == pytest.approx(math.exp(4.0))
    assert evidence.tokens == 30


def test_one_document_gives_no_share():
    alone = weigh({name: Likelihood(s.nats[:1], s.tokens[:1]) for name, s in SYSTEMS.items()})
    assert "one document" in alone.no_ceiling
    assert {*alone.recovered.values()} == {None}
    assert alone.donor_attributable is alone.module_attributable is None
    two = weigh({name: Likelihood(s.nats[:2], s.tokens[:2]) for name, s in SYSTEMS.items()})
    assert two.no_ceiling is None


def test_raw_counts_as_a_donor_free_control():
    worse = {**SYSTEMS, "shuffled_pairs": likelihood(50.0, 50.0, 50.0)}
    evidence = weigh(worse)
    assert evidence.best_donor_free == "raw"
    assert evidence.donor_attributable.mean == pytest.approx(0.6)


def test_the_base_of_a_fine_tune_alone_is_free_of_what_was_learned_and_of_a_module():
    alone = {**SYSTEMS, "donor_alone": likelihood(29.0, 33.0, 25.0)}
    of_module = weigh(alone)  # a module's donor: its backbone is no donor-free control
    assert (of_module.best_donor_free, of_module.best_module_free) == (
        "shuffled_pairs", "donor_alone",
    )  # fmt: skip
    tuned = weigh(alone, donor_free=("raw", "shuffled_pairs", "donor_alone"))
    assert tuned.best_donor_free == tuned.best_module_free == "donor_alone"
    assert tuned.donor_attributable == tuned.module_attributable
    assert tuned.donor_attributable.mean == pytest.approx(0.6 - 0.55)
    none = weigh(alone, donor_free=("raw", "donor_alone"), module_free=())
    assert none.best_module_free is None


def test_an_interval_holds_its_mean_and_widens_with_disagreement():
    even = weigh(SYSTEMS).recovered["candidate"]
    odd = weigh({**SYSTEMS, "candidate": likelihood(20.0, 44.0, 20.0)}).recovered["candidate"]
    assert odd.mean == pytest.approx(even.mean)
    assert odd.low <= odd.mean <= odd.high
    assert odd.high - odd.low > even.high - even.low


def test_evidence_without_controls_is_refused():
    for name in ("random_module", "linear_surrogate", "native"):
        with pytest.raises(InputError, match=name):
            weigh({key: value for key, value in SYSTEMS.items() if key != name})


@pytest.mark.parametrize(
    "native", [SYSTEMS["raw"], likelihood(50.0, 50.0, 50.0), likelihood(20.0, 44.0, 41.0)]
)
def test_a_native_that_gains_nothing_beyond_its_interval_is_no_ceiling(native):
    evidence = weigh({**SYSTEMS, "native": native})
    assert set(evidence.recovered.values()) == {None}
    shown = evidence.as_dict()
    assert set(shown["recovered"].values()) == {None}
    assert shown["donor_attributable"] is shown["module_attributable"] is None
    assert shown["interval"]["donor_attributable"] is None
    assert shown["no_ceiling"].startswith("no ceiling: the native gains")
    assert "no_ceiling" not in weigh(SYSTEMS).as_dict()


class Shift:
    """A correction that is not zero."""

    taps = (0,)

    def __call__(self, taps, _windows):
        return torch.ones_like(taps[0])


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_likelihood_is_the_models_own_and_systems_do_not_mix(family, tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone(family, tiny_tokenizer)
    windows = cut_windows(tiny_corpus[:3], tiny_tokenizer, 40)
    scores = score_documents(backbone, windows, {"raw": None, "shifted": Shift()})
    alone = score_documents(backbone, windows, {"raw": None})
    torch.testing.assert_close(scores["raw"].nats, alone["raw"].nats, rtol=1e-5, atol=1e-4)
    assert not torch.allclose(scores["raw"].nats, scores["shifted"].nats)
    expected = torch.zeros(3).double()
    for window in windows:
        states = backbone.read([window]).labelled()
        log_p = backbone.head(states.h_last).log_softmax(-1)
        picked = log_p.gather(1, states.labels[:, None]).sum()
        expected[window.document] -= picked.double()
    torch.testing.assert_close(scores["raw"].nats, expected, rtol=1e-4, atol=1e-3)


def test_window_logits_cover_every_position(tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    window = cut_windows(tiny_corpus[:1], tiny_tokenizer, 30)[0]
    logits = window_logits(backbone, None, window)
    assert logits.shape == (30, backbone.vocab_size)
    torch.testing.assert_close(
        logits, backbone.model(torch.tensor([window.ids])).logits[0], rtol=1e-4, atol=1e-4
    )


def test_the_difference_is_of_log_perplexity_and_positive_where_the_candidate_is_better():
    found = weigh(SYSTEMS).difference
    assert found.keys() == SYSTEMS.keys() - {"candidate"}
    assert found["raw"].mean == pytest.approx(12 / 10)
    assert found["linear_surrogate"].mean == pytest.approx(0.2)
    assert found["native"].mean == pytest.approx(-0.8)
    shown = weigh(SYSTEMS).as_dict()["difference"]
    assert shown["raw"].keys() == {"nats", "interval"}
    assert [shown["raw"]["nats"], *shown["raw"]["interval"]] == pytest.approx([1.2] * 3)


def test_documents_are_paired_so_that_their_difficulty_cancels():
    hard = torch.linspace(10.0, 90.0, 40).double()
    tokens = torch.full((40,), 10.0).double()
    better = Likelihood(hard, tokens)
    paired = difference(Likelihood(hard + 0.5, tokens), better)
    apart = difference(Likelihood(hard.flip(0) + 0.5, tokens), better)
    assert paired.low > 0.04
    assert apart.low < 0.0 < apart.high
    with pytest.raises(ShapeError, match="same documents"):
        difference(Likelihood(hard[1:], tokens[1:]), better)


def test_one_system_recovers_what_it_does_beside_all_the_others():
    alone = {name: SYSTEMS[name] for name in ("raw", "native", "candidate")}
    ceiling = Ceiling(alone)
    assert ceiling.recovered("candidate") == weigh(SYSTEMS).recovered["candidate"]
    assert ceiling.recovered("native").mean == pytest.approx(1.0)
    assert ceiling.row("native")["interval"] == pytest.approx([1.0, 1.0])
    assert ceiling.reason == {}
