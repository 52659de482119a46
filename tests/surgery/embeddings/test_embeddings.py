"""Rows for unknown tokens: exact where an exact answer exists, and better than the mean."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.alignment.token_map import map_tokens
from transplant.backbones.fingerprint import hash_parameters
from transplant.errors import CorpusError, InputError, ShapeError
from transplant.evaluation.likelihood import score_documents
from transplant.surgery.embeddings import pursuit
from transplant.surgery.embeddings.choose import choose_vocabulary
from transplant.surgery.embeddings.config import (
    ATOMS,
    BEST,
    CALIBRATION_TOKENS,
    METHODS,
    EmbedConfig,
)
from transplant.surgery.embeddings.methods import MAKERS, Tables, new_table
from transplant.surgery.embeddings.pursuit import pursue
from transplant.surgery.embeddings.vocabulary import input_table, spelled_in, with_vocabulary
from transplant.text.documents import Document
from transplant.text.spread import spread_windows
from transplant.text.tokenizers import train_tokenizer

pytestmark = pytest.mark.bits

OMP = EmbedConfig(method="omp")


def far_off(tables, tokens, *_):
    """Rows that win every prediction wherever what is predicted is another token."""
    return torch.full((len(tokens), tables.target.shape[1]), 30.0) * tables.target.mean(0).sign()


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_pursuit_finds_the_few_atoms_that_a_vector_was_made_of():
    atoms = draw(200, 64)
    true = torch.tensor([[3, 50, 120], [7, 8, 199]])
    weights = torch.tensor([[2.0, -1.0, 0.5], [1.0, 3.0, -2.0]])
    vectors = torch.einsum("nk,nkd->nd", weights, atoms[true])
    found = pursue(vectors, atoms, 3)
    order = found.indices.argsort(1)
    assert torch.equal(found.indices.gather(1, order), true)
    picked = found.weights.gather(1, order).float()
    torch.testing.assert_close(picked, weights, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.of(atoms.double()).float(), vectors, rtol=1e-4, atol=1e-4)


def test_more_atoms_leave_less_and_no_atom_is_picked_twice():
    atoms, vectors = draw(100, 32), draw(10, 32, seed=1)
    errors = []
    for k in (1, 4, 16, 32, 500):
        found = pursue(vectors, atoms, k)
        assert all(len(set(row.tolist())) == len(row) for row in found.indices)
        if k <= 32:
            errors.append(float((found.of(atoms.double()) - vectors).norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4 < errors[0]
    with pytest.raises(ShapeError):
        pursue(draw(3, 5), atoms, 2)
    assert pursue(vectors[:0], atoms, 4).indices.shape == (0, 4)


def test_of_many_atoms_a_rough_shortlist_picks_what_a_whole_comparison_picks(monkeypatch):
    atoms, vectors = draw(900, 48), draw(40, 48, seed=1).double()

    def left_by(found):
        return (vectors - found.of(atoms.double())).norm(dim=1)

    whole = pursue(vectors, atoms, 12)
    monkeypatch.setattr(pursuit, "multiplies", lambda *_: True)
    monkeypatch.setattr(pursuit, "MANY", 100)
    told = []
    listed = pursue(vectors, atoms, 12, lambda step, total, _: told.append((step, total)))
    assert (listed.indices == whole.indices).float().mean() > 0.9
    assert left_by(listed).mean() < 1.01 * left_by(whole).mean()
    assert all(len(set(row.tolist())) == 12 for row in listed.indices)
    assert told == [(40, 40)]
    blind = pursuit.Atoms.of(atoms)
    blind = dataclasses.replace(blind, rough=draw(900, 48, seed=2).bfloat16())
    monkeypatch.setattr(pursuit.Atoms, "of", lambda _: blind)
    assert left_by(pursue(vectors, atoms, 12)).mean() > 1.1 * left_by(whole).mean()


@pytest.fixture(scope="module")
def vocabularies(tiny_texts):
    return (
        train_tokenizer("bpe", tiny_texts, 300, context=128),
        train_tokenizer("bpe", tiny_texts, 420, context=128),
    )


def test_where_two_tables_are_one_turned_every_row_is_found(vocabularies):
    """The target's table is the source's under a linear map, of another width."""
    small, large = vocabularies
    spelled = map_tokens(small, large)
    source = draw(len(spelled), 24)
    truth = source @ draw(24, 40, seed=1)
    ours, theirs = (spelled.pairs()[1], spelled.pairs()[0])
    target = torch.zeros(len(small), 40)
    target[theirs] = truth[ours]
    errors = {}
    for method in METHODS:
        config = EmbedConfig(ridge=1e-9).by(method)
        made = new_table(Tables(source, target, spelled), config)
        assert torch.equal(made[ours], truth[ours])  # shared tokens keep the target's own
        missing = spelled.of_kind("decomposed")
        assert len(missing) > 50
        errors[method] = float((made[missing] - truth[missing]).norm() / truth[missing].norm())
    assert max(errors["omp"], errors["bridge"]) < 1e-3
    assert min(errors["mean"], errors["decompose"]) > 0.5  # random rows: spelling says nothing
    with pytest.raises(ShapeError, match="a map and its table"):
        Tables(source[1:], target, spelled)


def test_what_rows_have_in_common_stays_as_it_is_where_the_source_knows_nothing(vocabularies):
    """A table of noise, beside a target whose rows share a large part: that part is not multiplied.

    In a tied table it acts as a bias of the logits (as in ref-gpt2, with the tokens of ref-t5).
    """
    small, large = vocabularies
    spelled = map_tokens(small, large)
    common = 5 * torch.nn.functional.normalize(draw(40, seed=2), dim=0)
    source, target = draw(len(spelled), 64), draw(len(small), 40, seed=1) / 6 + common
    tables = Tables(source, target, spelled)
    missing, (ours, theirs) = spelled.of_kind("decomposed"), tables.shared
    along = common / 5

    def off(rows):
        return float((rows @ along - target[theirs].mean(0) @ along).abs().max())

    made = new_table(tables, OMP)[missing]
    assert off(made) < 1.5
    plain = pursue(source[missing], source[ours], ATOMS).of(target[theirs].double()).float()
    assert off(plain) > 5  # the control: weights that add up to anything


def test_a_row_by_pursuit_moves_with_its_table(vocabularies):
    """Where the two tables have their zero is nobody's knowledge: it must not matter."""
    small, large = vocabularies
    spelled = map_tokens(small, large)
    source, target = draw(len(spelled), 64).double(), draw(len(small), 40, seed=1).double()
    there, here = draw(64, seed=2).double(), draw(40, seed=3).double()
    config = EmbedConfig(method="omp", atoms=16)
    made = new_table(Tables(source, target, spelled), config)
    moved = new_table(Tables(source + there, target + here, spelled), config)
    torch.testing.assert_close(moved, made + here)
    ours, theirs = Tables(source, target, spelled).shared
    missing = spelled.of_kind("decomposed")
    plain = pursue(source[missing], source[ours], 16).of(target[theirs])
    plain_moved = pursue(source[missing] + there, source[ours] + there, 16).of(target[theirs])
    assert float((plain - plain_moved).norm() / plain.norm()) > 0.1  # the control


@pytest.mark.parametrize("family", ["gpt2", "llama", "layercake"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_backbone_takes_another_vocabulary_and_keeps_its_body(family, tied, vocabularies):
    small, large = vocabularies
    target = tiny_backbone(family, small, tie_word_embeddings=tied)
    source = tiny_backbone("llama", large, seed=1, hidden_size=48, head_dim=12)
    before = hash_parameters(target.model)
    made = with_vocabulary("new", target, source, spelled_in(target, source), OMP)
    assert hash_parameters(target.model) == before
    assert made.vocab_size == len(large)
    assert made.tokenizer is large
    assert made.model.config.eos_token_id == large.eos_token_id
    tables = {"embed_tokens.weight", "wte.weight", "lm_head.weight"}
    own = dict(target.model.named_parameters())
    for name, parameter in made.model.named_parameters():
        if not any(name.endswith(table) for table in tables):
            assert torch.equal(parameter, own[name])
    # A token that both have says the same thing in both: the body reads the same row.
    theirs, ours = spelled_in(target, source).pairs()
    assert torch.equal(input_table(made)[ours], input_table(target)[theirs])
    assert torch.equal(made.unembedding[ours], target.unembedding[theirs])
    with torch.no_grad():
        logits = made.model(input_ids=ours[:6][None]).logits[0][:, ours]
        expected = target.model(input_ids=theirs[:6][None]).logits[0][:, theirs]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_is_refused(vocabularies):
    small, large = vocabularies
    t5, llama = tiny_backbone("t5", small), tiny_backbone("llama", large)
    with pytest.raises(InputError, match="has an encoder"):
        with_vocabulary("new", t5, llama, spelled_in(t5, llama), OMP)
    with pytest.raises(InputError, match="`method`"):
        EmbedConfig(method="guess")
    with pytest.raises(InputError, match="best is a choice"):
        with_vocabulary("new", llama, llama, spelled_in(llama, llama), EmbedConfig())


def cost(backbone, documents):
    """Nats per character of what `choose_vocabulary` reads of documents."""
    windows = spread_windows(documents, backbone.tokenizer, backbone.context, CALIBRATION_TOKENS)
    nats = score_documents(backbone, windows, {"it": None})["it"].nats.sum()
    return float(nats) / sum(window.ends[-1] - window.ends[0] for window in windows)


@pytest.mark.parametrize("wins", METHODS)
def test_best_is_whichever_method_calibration_text_costs_least(wins, vocabularies, monkeypatch):
    """Every method but one makes rows that are far off: that one is found, wherever it stands."""
    small, large = vocabularies
    target, source = tiny_backbone("gpt2", small), tiny_backbone("llama", large, seed=1)
    spelled = spelled_in(target, source)
    own = MAKERS[wins]
    for method in METHODS:
        if method != wins:
            monkeypatch.setitem(MAKERS, method, far_off)
    text = [Document("the old miller said that the river had never been so high. " * 20, "x")]
    found = choose_vocabulary("new", target, source, spelled, EmbedConfig(), text)
    assert (found.method, found.backbone.name) == (wins, "new")
    assert tuple(found.tried) == METHODS
    assert min(found.tried, key=lambda method: found.tried[method]) == wins
    monkeypatch.setitem(MAKERS, wins, own)
    asked = EmbedConfig(method=wins)
    again = choose_vocabulary("new", target, source, spelled, asked, text)
    assert torch.equal(input_table(found.backbone), input_table(again.backbone))
    assert (again.method, again.tried) == (wins, {})
    assert found.tried[wins] == pytest.approx(cost(again.backbone, text))


def test_a_choice_wants_text_and_a_named_method_does_not(vocabularies):
    small, large = vocabularies
    target, source = tiny_backbone("gpt2", small), tiny_backbone("llama", large, seed=1)
    spelled = spelled_in(target, source)
    with pytest.raises(CorpusError, match="no document is as long"):
        choose_vocabulary("new", target, source, spelled, EmbedConfig(method=BEST), [])
    assert choose_vocabulary("new", target, source, spelled, OMP, []).method == "omp"
