"""Training a whole model on packed text: reference backbones, cores and their baselines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from transplant.losses import LossNote
from transplant.progress import Progress, part_of
from transplant.training.checkpoint import (
    Checkpoint,
    CheckpointFile,
    optimizer_tensors,
    prefixed,
    restore_optimizer,
    unprefixed,
)
from transplant.training.config import PretrainConfig
from transplant.training.learned_head import loss_of_blocks
from transplant.training.optimizer import make_adamw, set_rate, take_step
from transplant.training.precision import fast_products
from transplant.training.schedule import warmup_cosine

SAVE_EVERY = 100  # steps
LOGITS = 1 << 26  # of a batch, which are had at once: 256 MB in single precision
BLOCK = 1 << 24  # of a block of rows of a larger one


def pretrain(
    model: nn.Module,
    rows: np.ndarray,
    config: PretrainConfig,
    *,
    checkpoint: CheckpointFile | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> float:
    """Trains `model` in place on packed rows and returns the mean loss of the last tenth.

    An encoder-decoder reads the first half of each row and predicts the second (a prefix LM).
    Frozen parameters stay as they are. A run that is resumed ends with the bytes of one that was
    never interrupted.

    Args:
        model: a `transformers` model with a language-modelling loss; its `late_parameters`, where
            it has them, rest for the first half.
        rows: int32 [rows, length] token ids, as `pack_tokens` gives them.
        config: the recipe.
        checkpoint: where the state is kept, every SAVE_EVERY steps.
        resume: continue from the checkpoint.
        progress: called after each step.
    """
    steps = count_steps(config, rows.shape[1])
    optimizer = make_adamw(
        model.parameters(), config.learning_rate, config.weight_decay, (0.9, 0.95),
        late=getattr(model, "late_parameters", ()),
    )  # fmt: skip
    moving = [p for p in model.parameters() if p.requires_grad]
    done, tail, losses = 0, list[float](), list[float]()
    if resume and checkpoint is not None:
        saved = checkpoint.load()
        done, tail = saved.progress["step"], saved.progress["tail"]
        losses = saved.progress.get("losses", [])
        model.load_state_dict(unprefixed("model", saved.tensors))
        restore_optimizer(optimizer, saved.tensors)
    before = [(step, loss, None) for step, loss in enumerate(losses, 1)]
    model.train()
    batches = _batches(len(rows), config)
    for step, picked in zip(range(done, steps), islice(batches, done, None), strict=False):
        ids = torch.from_numpy(rows[picked].astype(np.int64)).to(moving[0].device)
        set_rate(optimizer, config.learning_rate * warmup_cosine(step, steps), step / steps)
        loss = _loss(model, ids)
        loss.backward()
        take_step([optimizer], moving, config.clip, step)
        losses.append(loss.item())
        if step >= 0.9 * steps - 1:
            tail.append(losses[-1])
        if checkpoint is not None and (step + 1) % SAVE_EVERY == 0:
            state = prefixed("model", model) | optimizer_tensors(optimizer)
            checkpoint.save(Checkpoint({"step": step + 1, "tail": tail, "losses": losses}, state))
        if progress is not None:
            progress(step + 1, steps, LossNote(losses[-1], before=before))
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
        progress: called after each step, counted over all runs.
    """
    loss = float("nan")
    configs = [
        PretrainConfig(tokens=tokens, learning_rate=rate, seed=seed + 1000 * number)
        for number, (tokens, rate) in enumerate(cycles)
    ]
    steps = [count_steps(config, rows.shape[1]) for config in configs]
    for number, config in enumerate(configs):
        run = part_of(progress, sum(steps[:number]), steps[number], sum(steps))
        loss = pretrain(model, rows, config, progress=run)
    return loss


def count_steps(config: PretrainConfig, length: int) -> int:
    """The optimizer steps that read `config.tokens` tokens in rows of `length`."""
    return max(1, math.ceil(config.tokens / (config.batch * length)))


def _batches(rows: int, config: PretrainConfig) -> Iterator[np.ndarray]:
    """The rows of each step without end: one permutation after another, from the seed alone."""
    generator = np.random.default_rng(config.seed)
    queue = np.empty(0, dtype=np.int64)
    while True:
        while len(queue) < config.batch:
            queue = np.concatenate([queue, generator.permutation(rows)])
        yield queue[: config.batch]
        queue = queue[config.batch :]


def _loss(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Mean next-token cross-entropy of a batch `ids` [batch, length], in nats."""
    config: Any = model.config
    if not config.is_encoder_decoder and ids.numel() * getattr(config, "vocab_size", 0) > LOGITS:
        return _loss_in_blocks(model, ids)
    with fast_products(ids.device):
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


def _loss_in_blocks(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The same of a decoder whose vocabulary is large: its logits are computed twice, none kept."""
    with fast_products(ids.device):
        hidden = model.get_decoder()(input_ids=ids).last_hidden_state[:, :-1].flatten(0, 1)
        size = max(1, BLOCK // model.config.vocab_size)
        return loss_of_blocks(model.get_output_embeddings(), hidden, ids[:, 1:].flatten(), size)
