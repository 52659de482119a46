"""What a donor writes by itself: text much like its module's domain, that nobody has to bring.

A module was trained on text that may be private or gone. The donor still speaks as that text does:
drawn from its own predictions, token by token, its text holds what the module is there for far more
often than ordinary prose does. Both backbones then read it, to be paired.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from statistics import median

import torch
from torch import Tensor

from transplant.alignment.tokens import token_bytes
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
from transplant.progress import Progress
from transplant.text.documents import Document

AT_ONCE = 64  # documents: more of them outgrow the cache of a processor
TOKENS = 256  # drawn in a round
ROUNDS = 16  # at most, of a donor that writes few characters at a time


@torch.no_grad()
def write_documents(
    donor: HostedModel,
    counts: Mapping[str, int],
    documents: int,
    *,
    chars: int = 600,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Document]:
    """Draws documents from a hosted module; nothing is cut off its distribution.

    The first token of each is drawn from the domain's counts. Random numbers that others draw are
    left as they were.

    Args:
        donor: the module at work in its backbone.
        counts: the domain's token counts, which travel with the module.
        documents: how many.
        chars: that most of them have.
        seed: of all that is drawn.
        progress: called after each batch of documents.

    Raises:
        InputError: no counted token is one of the donor's.
    """
    numbers = {raw.hex(): number for number, raw in token_bytes(donor.tokenizer).items()}
    known = {numbers[name]: count for name, count in counts.items() if name in numbers}
    if not any(known.values()):
        raise InputError(
            f"{donor.name} has no token to begin with",
            expected="token counts that travel with the module",
            hint="train the module again with this version of abi",
        )
    firsts = random.Random(seed).choices([*known], [*known.values()], k=documents)
    written: list[Document] = []
    device = donor.backbone.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for start in range(0, documents, AT_ONCE):
            begun = torch.tensor(firsts[start : start + AT_ONCE], device=device)[:, None]
            written += [
                Document(text, f"written by {donor.name}") for text in _write(donor, begun, chars)
            ]
            if progress is not None:
                progress(len(written), documents, "documents")
    return written


def _write(donor: HostedModel, ids: Tensor, chars: int) -> list[str]:
    """Texts that begin with these tokens [batch, 1]; the median one has so many characters."""
    texts: list[str] = []
    for _ in range(ROUNDS):
        ids = torch.cat([ids, _continuation(donor, ids)], dim=1)
        texts = donor.tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)
        if median(map(len, texts)) >= chars:
            break
    return texts


def _continuation(donor: HostedModel, ids: Tensor) -> Tensor:
    """More tokens [batch, `TOKENS` at most], drawn behind as many of the last as there is room."""
    if isinstance(donor.backbone, PrefixBackbone):  # the decoder writes what the encoder reads
        read = ids[:, -TOKENS:]
        return _draw(donor, read, read.shape[1])[:, 1:]  # without what starts the decoder
    room = donor.backbone.context
    read = ids[:, -(room // 2) :]
    return _draw(donor, read, min(TOKENS, room - read.shape[1]))[:, read.shape[1] :]


def _draw(donor: HostedModel, ids: Tensor, tokens: int) -> Tensor:
    return donor.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        suppress_tokens=_unwritten(donor),
        pad_token_id=donor.tokenizer.pad_token_id or 0,
    )


def _unwritten(donor: HostedModel) -> list[int]:
    """Special tokens, and rows of a padded head that stand for no token."""
    rows = range(len(donor.tokenizer), donor.backbone.vocab_size)
    return sorted({*donor.tokenizer.all_special_ids, *rows})
