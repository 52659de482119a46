"""Log-probabilities of sentences: those of a plain loop, for every kind of model."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import WIDTH, tiny_backbone
from transplant.errors import InputError
from transplant.evaluation import logit_rows
from transplant.evaluation.sentences import Start, sentence_nats
from transplant.modules.hosted import HostedModel
from transplant.training.loop import new_correction

CAUSAL = ("gpt2", "llama", "gemma2", "gemma3_text", "opt", "layercake")


@pytest.fixture(scope="module")
def sentences(tiny_corpus):
    """Of different lengths, one of them twice."""
    texts = [s.strip() + "." for d in tiny_corpus[:3] for s in d.text.split(".")[:6] if s.strip()]
    return [*texts, texts[0], texts[1] + " " + texts[2]]


def hosted(backbone) -> HostedModel:
    correction = new_correction(WIDTH, 16, (0, backbone.n_layers), 0).eval()
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.3)
    return HostedModel("x", backbone, correction)


@torch.no_grad()
def plain(model, text: str, *, start: int) -> float:
    """One sentence at a time, through the model's own call and a log-softmax in float64."""
    ids = model.tokenizer(text, add_special_tokens=False).input_ids
    logits = model(input_ids=torch.tensor([[start, *ids]])).logits[0, :-1].double()
    return -float(logits.log_softmax(-1)[range(len(ids)), ids].sum())


@pytest.mark.parametrize("family", CAUSAL)
def test_batched_costs_are_those_of_a_plain_loop(family, tiny_tokenizer, sentences):
    backbone = tiny_backbone(family, tiny_tokenizer)
    for model in (HostedModel("raw", backbone), hosted(backbone)):
        start = Start.of(model).token
        expected = [plain(model, text, start=start) for text in sentences]
        found = sentence_nats(model, sentences)
        torch.testing.assert_close(
            found, torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-4
        )
    other = [plain(model, text, start=start + 1) for text in sentences]
    assert not torch.allclose(found, torch.tensor(other, dtype=torch.float64), atol=1e-2)  # control


@torch.no_grad()
def test_an_encoder_decoder_predicts_the_whole_sentence(tiny_tokenizer, sentences):
    backbone = tiny_backbone("t5", tiny_tokenizer)
    model = HostedModel("raw", backbone)
    start, begin = Start.of(model).token, backbone.model.config.decoder_start_token_id
    for text, cost in zip(sentences, sentence_nats(model, sentences).tolist(), strict=True):
        ids = tiny_tokenizer(text, add_special_tokens=False).input_ids
        logits = backbone.model(
            input_ids=torch.tensor([[start]]), decoder_input_ids=torch.tensor([[begin, *ids[:-1]]])
        ).logits[0]
        expected = -logits.double().log_softmax(-1)[range(len(ids)), ids].sum()
        assert cost == pytest.approx(float(expected), rel=1e-5)


def test_no_more_logits_are_held_than_the_bound(tiny_tokenizer, sentences, monkeypatch):
    model = HostedModel("raw", tiny_backbone("gpt2", tiny_tokenizer))
    expected, most = sentence_nats(model, sentences), []
    head = model.backbone.head
    monkeypatch.setattr(logit_rows, "BYTES", 4 * model.backbone.vocab_size * 5)
    monkeypatch.setattr(model.backbone, "head", lambda h: most.append(len(h)) or head(h))
    torch.testing.assert_close(sentence_nats(model, sentences), expected)
    assert max(most) == 5


def test_the_start_is_the_beginning_of_text_else_its_end(tiny_tokenizer):
    class Tokenizer:
        bos_token, bos_token_id, eos_token, eos_token_id = None, None, "<end>", 3

    model = HostedModel("raw", tiny_backbone("gpt2", tiny_tokenizer))
    model.backbone.tokenizer = Tokenizer()
    assert Start.of(model) == Start(3, "<end>")
    Tokenizer.bos_token, Tokenizer.bos_token_id = "<s>", 0
    assert Start.of(model) == Start(0, "<s>")
    Tokenizer.bos_token_id = Tokenizer.eos_token_id = None
    with pytest.raises(InputError, match="begin a sentence"):
        Start.of(model)


def test_a_sentence_longer_than_the_context_is_refused(tiny_tokenizer, sentences):
    model = HostedModel("raw", tiny_backbone("gpt2", tiny_tokenizer))
    with pytest.raises(InputError, match="1 to 128 tokens"):
        sentence_nats(model, [*sentences, " ".join(sentences)])
