"""Windows of unequal lengths, so that batches have padding, and an oracle of W x."""

from __future__ import annotations

import random

import torch
from transformers import GPTJConfig, GPTJForCausalLM, PreTrainedTokenizerFast

from transplant.backbones.view import Backbone
from transplant.backbones.views import view_of
from transplant.basis.maps import LinearMap
from transplant.text.windows import Window


def ragged_windows(vocab: int, count: int = 12, seed: int = 0) -> list[Window]:
    draw = random.Random(seed)
    lengths = [draw.randint(8, 30) for _ in range(count)]
    return [
        Window([draw.randrange(5, vocab) for _ in range(n)], range(1, n + 1), number)
        for number, n in enumerate(lengths)
    ]


def tuple_backbone(family: str, tokenizer: PreTrainedTokenizerFast) -> Backbone:
    """A tiny GPT-J: its layers hand on tuples, not tensors."""
    config = GPTJConfig(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=64, rotary_dim=4,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPTJForCausalLM(config)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return view_of(f"tiny-{family}", model.eval(), tokenizer)


def rows_one_by_one(
    backbone: Backbone, found: LinearMap, windows: list[Window]
) -> tuple[torch.Tensor, torch.Tensor]:
    """x [rows, in] and W x [rows, out] of a map, float64, of windows that are read alone."""
    seen = []

    def keep(_module, args, _output):
        seen.append(args[0].detach().reshape(-1, found.into))

    hook = found.module.register_forward_hook(keep)
    for window in windows:
        backbone.read([window])
    hook.remove()
    x = torch.cat(seen).double()
    return x, x @ found.weight.double().T
