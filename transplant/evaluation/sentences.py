"""Log-probabilities of whole sentences, of any hosted model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.errors import InputError, foreign
from transplant.evaluation.logit_rows import row_blocks
from transplant.modules.hosted import HostedModel
from transplant.progress import Progress
from transplant.text.windows import batches

ROWS = 1024  # of a block; 64 MB of logits bound it, too


@dataclass(frozen=True)
class Start:
    """The token that a sentence is read after: its first token is predicted from it.

    The tokenizer's beginning-of-text token where it has one, else its end-of-text token, as the
    lm-evaluation-harness takes it (`prefix_token_id`). An encoder-decoder has that token alone in
    its encoder, and its decoder predicts the whole sentence.
    """

    token: int
    text: str

    @classmethod
    def of(cls, model: HostedModel) -> Start:
        """That of a model.

        Raises:
            InputError: its tokenizer has neither token.
        """
        tokenizer: Any = model.tokenizer
        for name in ("bos_token", "eos_token"):
            token = getattr(tokenizer, f"{name}_id")
            if token is not None:
                return cls(int(token), str(getattr(tokenizer, name)))
        raise InputError(
            f"the tokenizer of {model.backbone.name} has no token to begin a sentence with",
            expected="a beginning-of-text or an end-of-text token",
        )


def encode_sentences(model: HostedModel, sentences: Sequence[str]) -> list[list[int]]:
    """The token ids of each sentence, without special tokens.

    Raises:
        InputError: one is empty for this tokenizer, or longer than the model's context.
    """
    tokenizer: Any = model.tokenizer
    with foreign("the tokenizer cannot read the sentences", InputError):
        encoded = tokenizer([*sentences], add_special_tokens=False, verbose=False).input_ids
    longest = model.backbone.context
    for ids, text in zip(encoded, sentences, strict=True):
        if not 1 <= len(ids) <= longest:
            raise InputError(
                f"{model.backbone.name} cannot score {text[:60]!r}",
                expected=f"1 to {longest:,} tokens", found=f"{len(ids):,}",
            )  # fmt: skip
    return encoded


@torch.no_grad()
def sentence_nats(
    model: HostedModel, sentences: Sequence[str], *, progress: Progress | None = None
) -> Tensor:
    """What each sentence costs in nats: -log p of all its tokens after `Start`, [sentences].

    Summed in float64 of losses in single precision. Sentences are read in batches of like length,
    padded on the right; a causal model reads nothing of the padding. No more than 64 MB of logits
    are held at a time (or one row, if that is larger). A sentence that occurs twice is read once.

    Args:
        model: the hosted model.
        sentences: the texts.
        progress: is told of each batch.

    Raises:
        InputError: as `encode_sentences` and `Start.of`.
    """
    start = Start.of(model)
    distinct = list(dict.fromkeys(sentences))
    encoded = encode_sentences(model, distinct)
    nats = torch.zeros(len(distinct), dtype=torch.float64)
    done = 0
    for batch in batches(encoded):
        nats[batch] = _batch_nats(model, [encoded[index] for index in batch], start.token)
        done += len(batch)
        if progress is not None:
            progress(done, len(distinct), "sentences")
    place = {text: number for number, text in enumerate(distinct)}
    return nats[[place[text] for text in sentences]]


def _batch_nats(model: HostedModel, encoded: Sequence[Sequence[int]], start: int) -> Tensor:
    """The nats [sentences] of one batch."""
    longest = max(map(len, encoded))
    device = model.backbone.device
    labels = torch.zeros((len(encoded), longest), dtype=torch.long)
    mask = torch.zeros((len(encoded), longest), dtype=torch.long)
    for number, ids in enumerate(encoded):
        labels[number, : len(ids)] = torch.tensor(ids)
        mask[number, : len(ids)] = 1
    labels, mask = labels.to(device), mask.to(device)
    keep = mask.bool()
    with model.attached():
        hidden = _hidden(model, labels, mask, start)[keep]  # [rows, d_model]
        losses = [
            functional.cross_entropy(
                model.backbone.head(hidden[rows]).float(), labels[keep][rows], reduction="none"
            )
            for rows in row_blocks(len(hidden), model.backbone.vocab_size, ROWS)
        ]
    costs = torch.zeros(keep.shape, dtype=torch.float64)
    costs[keep.cpu()] = torch.cat(losses).double().cpu()
    return costs.sum(dim=1)


def _hidden(model: HostedModel, labels: Tensor, mask: Tensor, start: int) -> Tensor:
    """Last hidden states [batch, seq, d_model]: row i has read what stands before token i."""
    backbone = model.backbone
    before = torch.full_like(labels[:, :1], start)
    inputs: dict[str, Any] = {"attention_mask": mask, "use_cache": False}
    if isinstance(backbone, PrefixBackbone):
        encoded = backbone.model.get_encoder()(input_ids=before)
        inputs["encoder_hidden_states"] = encoded.last_hidden_state
        before = torch.full_like(before, backbone.model.config.decoder_start_token_id)
    inputs["input_ids"] = torch.cat([before, labels[:, :-1]], dim=1)
    return backbone.reader()(**inputs).last_hidden_state.to(backbone.device)
