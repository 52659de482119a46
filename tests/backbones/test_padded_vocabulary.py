"""Heads with more rows than the tokenizer has tokens: no such row is written, every one counts."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.tiny import tiny_backbone
from transplant.backbones import split_head, token_losses
from transplant.calibration import large_vocabulary
from transplant.calibration.donor_text import write_documents
from transplant.evaluation.agreement import score_chunk
from transplant.evaluation.scoring import LogitRows
from transplant.evidence import generate
from transplant.evidence.report import samples
from transplant.evidence.studio import generate as studio
from transplant.modules.hosted import HostedModel
from transplant.text.windows import cut_windows
from transplant.training.losses import next_token_loss
from transplant.workspace import Workspace

PADDING = 24
FAMILIES = ("gpt2", "llama", "t5-untied")


def padded(family, tokenizer, seed=0):
    """A backbone whose padding rows are likelier than its tokens."""
    backbone = tiny_backbone(family, tokenizer, seed, padding_rows=PADDING)
    with torch.no_grad():
        backbone.unembedding[-PADDING:] *= 6
    return backbone


@pytest.fixture
def in_pieces(monkeypatch):
    """Has a small vocabulary gone through as a large one is."""
    monkeypatch.setattr(split_head, "TOKENS", 64)
    monkeypatch.setattr(token_losses, "TOKENS", 64)
    monkeypatch.setattr("transplant.training.losses.TOKENS", 64)


@pytest.fixture
def written(monkeypatch):
    """The ids of all that a hosted model has written."""
    found, plain = [], HostedModel.generate

    def kept(model, *args, **options):
        ids = plain(model, *args, **options)
        found.append(ids)
        return ids

    monkeypatch.setattr(HostedModel, "generate", kept)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rows_without_a_token_are_known(family, tiny_tokenizer):
    backbone, size = padded(family, tiny_tokenizer), len(tiny_tokenizer)
    assert backbone.vocab_size == size + PADDING
    assert backbone.padding_rows == [*range(size, size + PADDING)]
    assert tiny_backbone(family, tiny_tokenizer).padding_rows == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pieces", [False, True])
def test_losses_are_those_of_the_whole_head(family, pieces, tiny_tokenizer, tiny_corpus, request):
    if pieces:
        request.getfixturevalue("in_pieces")
    backbone = padded(family, tiny_tokenizer)
    states = backbone.read(cut_windows(tiny_corpus[:1], tiny_tokenizer, 40)[:2]).labelled()
    hidden = states.h_last.clone().requires_grad_()
    logits = backbone.head(hidden).float()
    expected = functional.cross_entropy(logits, states.labels, reduction="none")
    found = token_losses.token_losses(backbone, states.h_last, states.labels)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-4)
    named = functional.cross_entropy(logits[:, :-PADDING], states.labels)
    assert abs(named - expected.mean()) > 0.01  # the control: padding rows take a share
    learned = states.h_last.clone().requires_grad_()
    next_token_loss(backbone, learned, states.labels).backward()
    expected.mean().backward()
    torch.testing.assert_close(learned.grad, hidden.grad, rtol=1e-3, atol=1e-5)


def test_agreement_is_that_of_the_whole_distributions(tiny_tokenizer, tiny_corpus):
    windows = cut_windows(tiny_corpus[:1], tiny_tokenizer, 40)[:2]
    sides, logits = [], []
    for seed in (0, 1):
        backbone = padded("llama", tiny_tokenizer, seed)
        hidden = backbone.read(windows).h_last
        sides.append(LogitRows(hidden, backbone.head, backbone.vocab_size))
        logits.append(backbone.head(hidden).double())
    found = score_chunk(*sides)
    p, q = (one.softmax(1) for one in logits)
    m = (p + q) / 2
    js = ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)) / 2
    top = [one.topk(5).indices for one in logits]
    both = (top[0][:, :, None] == top[1][:, None]).sum()
    assert found.js == pytest.approx(float(js.mean()), rel=1e-3)
    assert found.top5 == pytest.approx(float(both) / top[0].numel())
    assert top[0].max() >= len(tiny_tokenizer)  # padding rows are among the best
    same = score_chunk(sides[0], sides[0])
    assert (same.top5, same.js) == (1.0, pytest.approx(0.0, abs=1e-6))


def by_generate(hosted, monkeypatch):
    monkeypatch.setattr(generate, "load_beside", lambda *_: {"model": hosted})
    config = generate.GenerateConfig(max_new_tokens=12)
    generate.run_generate(Workspace(), "tales", ["The ba"], config=config)


def by_report(hosted, _):
    samples._continue(hosted, "The ba")


def by_studio(hosted, _):
    studio.continue_prompt(hosted, "The ba", 12, lambda: None)


def by_donor(hosted, _):
    counts = {b"T".hex(): 1}
    write_documents(hosted, counts, 2, chars=20)


@pytest.mark.parametrize("writes", [by_generate, by_report, by_studio, by_donor])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_no_row_without_a_token_is_written(writes, family, tiny_tokenizer, written, monkeypatch):
    hosted = HostedModel("tales", padded(family, tiny_tokenizer))
    writes(hosted, monkeypatch)
    assert written
    assert max(int(ids.max()) for ids in written) < len(tiny_tokenizer)
    ids = tiny_tokenizer("The ba", return_tensors="pt").input_ids
    plain = hosted.generate(ids, max_new_tokens=12, do_sample=False)
    assert int(plain.max()) >= len(tiny_tokenizer)  # the control: what nothing is held back from


def test_no_row_without_a_token_is_drawn_of_many(tiny_tokenizer, written, monkeypatch):
    monkeypatch.setattr(large_vocabulary, "WHOLE", 10)
    by_donor(HostedModel("tales", padded("llama", tiny_tokenizer)), monkeypatch)
    assert max(int(ids.max()) for ids in written) < len(tiny_tokenizer)
