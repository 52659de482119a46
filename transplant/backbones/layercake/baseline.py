"""The plain transformer that a core is compared with: the same blocks, no shared space.

It is GPT-NeoX from `transformers`, not a core with a part switched off: pre-norm blocks one after
the other, rotary positions, LayerNorms and biases as in a core. What a core spends on the way into
the shared space and back goes into the width of the feed-forward parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from transplant.backbones.layercake.sizes import CoreSize, count_parameters

if TYPE_CHECKING:
    from transformers import GPTNeoXForCausalLM

TOLERANCE = 0.005  # of the core's parameters


def matched_width(size: CoreSize, vocab_size: int) -> int:
    """The feed-forward width with which a plain transformer has a core's parameters."""
    of_core = count_parameters(size, vocab_size)
    spare = of_core - count_parameters(size, vocab_size, abi=False)
    one_more = size.n_layers * (2 * size.d_model + 1)  # a column, a row and a bias in every block
    return size.d_ff + round(spare / one_more)


def build_baseline(
    size: CoreSize, vocab_size: int, seed: int, *, context: int = 512, **special: Any
) -> GPTNeoXForCausalLM:
    """An untrained plain transformer as large as a core of `size`.

    Args:
        size: of the core.
        vocab_size: entries of the tokenizer.
        seed: of the weights; the same seed gives the same bytes.
        context: the longest window in tokens.
        special: ids of special tokens, for the configuration.
    """
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=vocab_size,
        hidden_size=size.d_model,
        num_hidden_layers=size.n_layers,
        num_attention_heads=size.n_heads,
        intermediate_size=matched_width(size, vocab_size),
        max_position_embeddings=context,
        hidden_act="gelu_pytorch_tanh",
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "partial_rotary_factor": 1.0,
        },
        use_parallel_residual=False,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        tie_word_embeddings=True,
        **{"bos_token_id": None, **special},
    )
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        model = GPTNeoXForCausalLM(config)
        # As in a core: the residual stream keeps its scale over the layers.
        std = config.initializer_range / (2 * size.n_layers) ** 0.5
        layers: Any = model.gpt_neox.layers
        for layer in layers:
            torch.nn.init.normal_(layer.attention.dense.weight, std=std)
            torch.nn.init.normal_(layer.mlp.dense_4h_to_h.weight, std=std)
    return model
