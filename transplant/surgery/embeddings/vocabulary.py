"""A backbone with the vocabulary of another: new tables, everything else as it was."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from transplant.alignment.token_map import TokenMap, map_tokens
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.view import Backbone
from transplant.backbones.views import view_of
from transplant.errors import InputError
from transplant.progress import Progress, unseen
from transplant.surgery.embeddings.config import EmbedConfig
from transplant.surgery.embeddings.methods import Tables, new_table


def input_table(backbone: Backbone) -> Tensor:
    """The embedding matrix [vocab, width]."""
    return backbone.model.get_input_embeddings().weight


def is_tied(backbone: Backbone) -> bool:
    """Whether the head is the embedding matrix."""
    head = backbone.model.get_output_embeddings().weight
    return input_table(backbone).data_ptr() == head.data_ptr()


def spelled_in(target: Backbone, source: Backbone) -> TokenMap:
    """Each token of the source, spelled in tokens of the target."""
    return map_tokens(target.tokenizer, source.tokenizer, len(input_table(source)))


@torch.no_grad()
def with_vocabulary(
    name: str,
    target: Backbone,
    source: Backbone,
    spelled: TokenMap,
    config: EmbedConfig,
    progress: Progress = unseen,
) -> Backbone:
    """A copy of the target that reads and writes the source's tokens.

    Its embeddings and, where the head is a matrix of its own, its head get a row for each token of
    the source; no other weight differs from the target's.

    Args:
        name: of the new backbone.
        target: whose body it is; it stays as it was.
        source: whose tokenizer it takes, and whose tables say how new tokens relate to known ones.
        spelled: each token of the source in tokens of the target (`spelled_in`).
        config: how rows are made.
        progress: told of the rows that are made one by one.

    Raises:
        InputError: an encoder-decoder, or vocabularies that share too little.
    """
    if isinstance(target, PrefixBackbone):
        raise InputError(
            f"{target.name} has an encoder that shares its embeddings",
            expected="a decoder-only backbone",
        )
    target.require_weights("another vocabulary")
    tables = Tables(input_table(source), input_table(target), spelled)
    table = new_table(tables, config, progress)
    model: Any = copy.deepcopy(target.model)
    model.resize_token_embeddings(len(table), mean_resizing=False)
    model.get_input_embeddings().weight.copy_(table)
    if not is_tied(target):
        head, theirs = (side.model.get_output_embeddings().weight for side in (target, source))
        made = new_table(Tables(theirs, head, spelled), config, progress)
        model.get_output_embeddings().weight.copy_(made)
    for role in ("bos_token_id", "eos_token_id", "pad_token_id"):
        value = getattr(source.tokenizer, role, None)
        for holder in (model.config, getattr(model, "generation_config", None)):
            if holder is not None:
                setattr(holder, role, value)
    return view_of(name, model, source.tokenizer)
