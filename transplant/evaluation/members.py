"""Members that a model's uncertainty is measured with: versions of it that might as well be it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transplant.errors import InputError
from transplant.evaluation.likelihood import Corrector
from transplant.evaluation.logit_rows import LogitRows
from transplant.evaluation.scoring import hosted_rows
from transplant.modules.gate import Gated
from transplant.modules.hosted import HostedModel
from transplant.text.windows import Window

DROPOUT = (nn.Dropout, nn.AlphaDropout)
SEEDS_APART = 1 << 20  # of perturbed members: those of two seeds have none in common
ReadMembers = Callable[[Window], list[LogitRows]]


@dataclass(frozen=True)
class Members:
    """How the members come about, and the logits of each of them on a window."""

    method: str
    """`dropout`, `perturb` or `ensemble`."""
    what: str
    """What differs between them, in words."""
    count: int
    read: ReadMembers


def dropout_layers(model: HostedModel) -> list[nn.Module]:
    """The layers of a model that would drop something in training, with `p` above 0.

    They are layers of dropout, what holds one (an attention passes its `p` on to a fused kernel),
    and what has a rate of its own, as the blocks of OPT and the attention of Llama have.
    """
    return [module for module in model.modules() if _drops(module)]


def _drops(module: nn.Module) -> bool:
    rates = [value for name, value in vars(module).items() if "dropout" in name]
    own = [one.p for one in (module, *module.children()) if isinstance(one, DROPOUT)]
    return any(isinstance(rate, float) and rate > 0 for rate in (*rates, *own))


def dropout_members(model: HostedModel, count: int, *, seed: int = 0) -> Members:
    """Monte Carlo dropout (Gal & Ghahramani 2016): the model with its dropout at work.

    Args:
        model: one with dropout; see `dropout_layers`.
        count: how many masks.
        seed: of the masks; every window has its own.

    Raises:
        InputError: it has no dropout.
    """
    layers = dropout_layers(model)
    if not layers:
        raise InputError(
            f"{model.name} has no dropout", expected="dropout with p > 0",
            hint="`method='perturb'`",
        )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)

    def read(window: Window) -> list[LogitRows]:
        found = []
        with _at_work(layers), torch.random.fork_rng():
            for _ in range(count):
                # Dropout draws from the global generator; it is put back.
                torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
                found.append(hosted_rows(model, window))
        return found

    return Members("dropout", f"masks of {len(layers)} modules that drop", count, read)


def perturbed_members(
    model: HostedModel, count: int, *, scale: float = 0.05, seed: int = 0
) -> Members:
    """The model with small Gaussian changes of its weights.

    Where a domain module is hosted, it is its weights: w + scale * rms(w) * e for each tensor. Of
    any other model it is the gain of the last hidden state, h * (1 + scale * e), one e of d_model
    numbers for each member.

    Args:
        model: any hosted model.
        count: how many.
        scale: the size of a change, as a share.
        seed: of the changes.
    """
    if not scale > 0:
        raise InputError("`scale`", expected="> 0", found=scale)
    seeds = (seed * SEEDS_APART + number for number in range(count))
    generators = [torch.Generator().manual_seed(one) for one in seeds]
    if model.correction is None:
        gains = [1 + scale * torch.randn(model.backbone.d_model, generator=g) for g in generators]

        def read(window: Window) -> list[LogitRows]:
            own = hosted_rows(model, window)
            return [own.on(own.hidden * gain.to(own.hidden)) for gain in gains]

        return Members("perturb", f"{scale:g} of the last hidden state's gain", count, read)
    changed = [_perturbed(model, scale, generator) for generator in generators]
    return Members("perturb", f"{scale:g} of the module's weights", count, _readers(model, changed))


def ensemble_members(models: Sequence[HostedModel]) -> Members:
    """Several hosted models of one vocabulary, such as modules of several seeds.

    Raises:
        InputError: fewer than two, or other tokenizers.
    """
    if len(models) < 2:
        raise InputError("an ensemble", expected="2 models or more", found=len(models))
    first = models[0].backbone
    for model in models[1:]:
        if model.backbone.tokenizer_sha256 != first.tokenizer_sha256:
            raise InputError(
                "the models of an ensemble read one vocabulary",
                expected=f"the tokenizer of {first.name}", found=f"that of {model.backbone.name}",
            )  # fmt: skip

    def read(window: Window) -> list[LogitRows]:
        return [hosted_rows(model, window) for model in models]

    return Members("ensemble", ", ".join(model.name for model in models), len(models), read)


def _readers(model: HostedModel, correctors: Sequence[Corrector]) -> ReadMembers:
    """Several corrections of one backbone, which reads a window once for all of them."""

    def read(window: Window) -> list[LogitRows]:
        with torch.no_grad(), model.inside():
            states = model.backbone.read([window], correctors[0].taps)
            added = [corrector(states.taps, states.windows) for corrector in correctors]
        own = LogitRows(states.h_last, model.backbone.head, model.backbone.vocab_size)
        return [own.on(states.h_last + one) for one in added]

    return read


@torch.no_grad()
def _perturbed(model: HostedModel, scale: float, generator: torch.Generator) -> Corrector:
    correction = copy.deepcopy(model.correction)
    assert correction is not None
    for parameter in correction.module.parameters():
        noise = torch.randn(parameter.shape, generator=generator).to(parameter)
        parameter.add_(noise, alpha=scale * _rms(parameter))
    return correction if model.gate is None else Gated(correction, model.gate)


def _rms(tensor: Tensor) -> float:
    return float(tensor.double().square().mean().sqrt())


@contextmanager
def _at_work(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Has some layers, and nothing inside them, in training mode inside the block."""
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
