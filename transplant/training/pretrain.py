"""Training a backbone from scratch on packed text: how the reference backbones were made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from transplant.errors import NumericalError
from transplant.training.config import PretrainConfig
from transplant.training.loop import Progress
from transplant.training.schedule import warmup_cosine


def pretrain(
    model: nn.Module,
    rows: np.ndarray,
    config: PretrainConfig,
    *,
    progress: Progress | None = None,
) -> float:
    """Trains `model` in place on packed rows and returns the mean loss of the last tenth.

    An encoder-decoder reads the first half of each row and predicts the second (a prefix LM).

    Args:
        model: a `transformers` model with a language-modelling loss.
        rows: int32 [rows, length] token ids, as `pack_tokens` gives them.
        config: the recipe.
        progress: called after each step.
    """
    steps = max(1, math.ceil(config.tokens / (config.batch * rows.shape[1])))
    order = np.random.default_rng(config.seed)
    queue = np.empty(0, dtype=np.int64)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(0.9, 0.95),
        fused=True,
    )
    model.train()
    tail: list[float] = []
    for step in range(steps):
        if len(queue) < config.batch:
            queue = np.concatenate([queue, order.permutation(len(rows))])
        picked, queue = queue[: config.batch], queue[config.batch :]
        ids = torch.from_numpy(rows[picked].astype(np.int64)).to(next(model.parameters()).device)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * warmup_cosine(step, steps)
        loss = _loss(model, ids)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        if not torch.isfinite(norm):
            raise NumericalError(f"the gradient is not finite at step {step}")
        optimizer.step()
        optimizer.zero_grad()
        if step >= 0.9 * steps - 1:
            tail.append(loss.item())
        if progress is not None:
            progress(step + 1, steps, f"loss {loss.item():.3f}")
    model.eval()
    return float(np.mean(tail))


def pretrain_cycles(
    model: nn.Module,
    rows: np.ndarray,
    cycles: Sequence[tuple[int, float]],
    seed: int,
    progress: Progress,
) -> float:
    """Trains in several runs of the optimizer and returns the mean loss at the end of the last.

    Args:
        model: trained in place.
        rows: int32 [rows, length] token ids.
        cycles: tokens and peak rate of each run.
        seed: of the order of the windows; each run draws its own.
        progress: called after each step, counting from 1 in each run.
    """
    loss = float("nan")
    for number, (tokens, rate) in enumerate(cycles):
        config = PretrainConfig(tokens=tokens, learning_rate=rate, seed=seed + 1000 * number)
        loss = pretrain(model, rows, config, progress=progress)
    return loss


def _loss(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Mean next-token cross-entropy of a batch `ids` [batch, length], in nats."""
    config: Any = model.config
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        if config.is_encoder_decoder:
            half = ids.shape[1] // 2
            targets = ids[:, half:]
            start = torch.full_like(ids[:, :1], config.decoder_start_token_id)
            shifted = torch.cat([start, targets[:, :-1]], dim=1)  # [batch, length - half]
            logits = model(input_ids=ids[:, :half], decoder_input_ids=shifted).logits
        else:
            targets = ids[:, 1:]
            logits = model(input_ids=ids).logits[:, :-1]
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
