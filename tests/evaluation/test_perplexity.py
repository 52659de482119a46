"""Perplexities of a token, a byte and a document, from scores that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.errors import InputError, ShapeError
from transplant.evaluation.likelihood import score_documents
from transplant.evaluation.perplexity import TextScores
from transplant.evaluation.perplexity_config import PerplexityConfig
from transplant.text.documents import Document
from transplant.text.windows import cut_windows


def scores(nats, tokens, sizes, documents=None):
    columns = (np.asarray(column, dtype=np.float64) for column in (nats, tokens, sizes))
    return TextScores(tuple(documents or range(len(nats))), *columns)


def test_means_are_weighted_by_what_they_are_of():
    found = scores([20.0, 10.0], [10, 2], [40, 10]).summary()
    assert found["nats_per_token"]["mean"] == pytest.approx(30 / 12)
    assert found["ppl"]["mean"] == pytest.approx(math.exp(30 / 12))
    assert found["bits_per_byte"]["mean"] == pytest.approx(30 / 50 / math.log(2))
    assert found["nats_per_document"]["mean"] == pytest.approx(15)
    assert (found["tokens"], found["bytes"], found["documents"]) == (12, 50, 2)
    for name in ("ppl", "nats_per_token", "bits_per_byte", "nats_per_document"):
        low, high = found[name]["interval"]
        assert low < found[name]["mean"] < high


def test_documents_that_cost_the_same_have_no_width():
    found = scores([20.0] * 5, [10] * 5, [40] * 5).summary()
    assert found["ppl"]["interval"][0] == pytest.approx(found["ppl"]["interval"][1])


def test_a_difference_is_paired_over_the_documents_of_both():
    draw = np.random.default_rng(0)
    cost = draw.uniform(10, 100, 30)
    dear, cheap = (scores(cost + more, [10] * 30, [40] * 30) for more in (4 * math.log(2), 0))
    found = dear.difference(cheap)
    assert found["mean"] == pytest.approx(0.1)
    assert found["interval"][1] - found["interval"][0] < 1e-9  # each document costs as much more
    alone = dear.summary()["bits_per_byte"]
    assert alone["interval"][1] - alone["interval"][0] > 0.1  # control: unpaired they are far apart
    part = scores(cost[:3], [10] * 3, [40] * 3)
    assert dear.difference(part)["mean"] == pytest.approx(0.1)
    with pytest.raises(ShapeError, match="both"):
        dear.difference(scores([1.0], [1], [1], documents=[99]))


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_bytes_are_those_of_the_text_that_was_predicted(family, tiny_tokenizer):
    backbone = tiny_backbone(family, tiny_tokenizer)
    documents = [Document("The ünder cor dens a ba. " * 20, "a"), Document("mi nor pas " * 9, "b")]
    windows = cut_windows(documents, tiny_tokenizer, 24)
    found = TextScores.of(
        score_documents(backbone, windows, {"raw": None})["raw"], windows, documents, backbone
    )
    for number, document in enumerate(documents):
        own = [window for window in windows if window.document == number]
        rows = [backbone.rows_of(window) for window in own]
        texts = [
            document.text[row.ends[0] : window.ends[-1]]
            for row, window in zip(rows, own, strict=True)
        ]
        assert found.bytes[number] == sum(len(text.encode()) for text in texts)
    assert found.bytes.sum() > sum(len(one.text) for one in documents) * (
        0.4 if family == "t5" else 0.8
    )
    rows = found.rows(documents)
    assert [row["source"] for row in rows] == ["a", "b"]
    assert rows[0]["ppl"] == pytest.approx(math.exp(found.nats[0] / found.tokens[0]))
    assert torch.tensor(found.tokens).sum() == sum(row["tokens"] for row in rows)


def test_a_window_of_one_token_is_refused():
    with pytest.raises(InputError, match="window"):
        PerplexityConfig(window=1)
    with pytest.raises(InputError, match="eval_tokens"):
        PerplexityConfig(eval_tokens=0)
