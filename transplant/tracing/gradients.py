"""Effects estimated by gradients: attribution patching (Kramar et al., arXiv:2403.00745).

Passes forward and back give an estimate of every target at once. The first order is the gradient of
the metric at a target's value, times what the intervention would change there. Of `nll` the first
order alone is poor, and of `kl` it is 0: an intact model is near the least of both. What a change
costs is mostly their curvature, half the variance that it gives the logits under the model's own
predictions (Gauss-Newton; Martens, arXiv:1412.1193). It is the mean square of the first order for
tokens that are drawn from these predictions in place of the real ones.

The gradient at a query or key would vanish where its softmax is saturated; for these the fix of the
paper is used (its section 3.1.1): attention is computed anew with the changed queries or keys, and
the gradient is that at the attention weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.states import States
from transplant.backbones.view import Backbone
from transplant.progress import Progress, unseen
from transplant.text.windows import Window
from transplant.tracing.attention import attention_recorded, saturation_fixed
from transplant.tracing.batch import Batch, make_batches
from transplant.tracing.config import TraceConfig
from transplant.tracing.effects import Reading, measure_moments
from transplant.tracing.interventions import Scene, check_fired, replacement, seeded
from transplant.tracing.metrics import (
    METRICS,
    Rows,
    blocks_of_rows,
    draw_tokens,
    likeliest_others,
    wide,
)
from transplant.tracing.moments import Moments
from transplant.tracing.places import Change, Places
from transplant.tracing.targets import Target

FIXED = ("query", "key")
DRAWN = 4
"""Times that tokens are drawn for the curvature: its error is about a sixth over 20 documents."""


@dataclass
class _Probe:
    """A value as it was met, and the zeros that were added to it: their gradient is the value's."""

    value: Tensor  # [batch, seq, width]
    zeros: Tensor


def estimate(
    reading: Reading,
    windows: Sequence[Window],
    targets: Sequence[Target],
    config: TraceConfig,
    tokens: int,
    *,
    fix: bool = True,
    progress: Progress = unseen,
) -> Tensor:
    """Estimates of the effects per token, float64 [targets].

    Args:
        reading: the model.
        windows: as the exact effects are measured on.
        targets: what is estimated.
        config: the intervention and the metric.
        tokens: read at once; their activations stay in memory for the way back.
        fix: compute attention anew for changed queries and keys.
        progress: is told of each batch.
    """
    batches = make_batches(reading.backbone, windows, config.batch_tokens)
    with reading.at_work():
        moments = measure_moments(reading, batches, targets, config)
    sums, predicted = torch.zeros(len(targets), dtype=torch.float64), 0
    parts = [
        part
        for number, batch in enumerate(batches)
        for part in _parts(batch, Scene.of(config, batch, number, moments), tokens)
    ]
    for done, (own, others) in enumerate(parts, 1):
        batch = Batch.of(reading.backbone, [*own, *others])
        scene = _scene(config, batch, len(own), moments, with_others=bool(others))
        found, count = _estimate_batch(reading, scene, targets, len(own), fix=fix)
        sums += found
        predicted += count
        progress(done, len(parts), "gradients")
    return sums / predicted


def _parts(batch: Batch, scene: Scene, tokens: int) -> Iterator[tuple[list[Window], list[Window]]]:
    """Some windows of a batch at a time, and for `resample` the partner of each."""
    size = max(1, tokens // batch.real.shape[1])
    for start in range(0, len(batch.windows), size):
        numbers = range(start, min(start + size, len(batch.windows)))
        own = [batch.windows[number] for number in numbers]
        partner = scene.partner
        others = [] if partner is None else [batch.windows[int(partner[n])] for n in numbers]
        yield own, others


def _scene(
    config: TraceConfig, batch: Batch, own: int, moments: Moments | None, *, with_others: bool
) -> Scene:
    partner = torch.arange(own).add(own).repeat(2) if with_others else None
    return Scene(config, batch, partner, moments)


def _estimate_batch(
    reading: Reading, scene: Scene, targets: Sequence[Target], own: int, *, fix: bool
) -> tuple[Tensor, int]:
    """Sums over the first `own` windows, float64 [targets], and how many tokens they predict."""
    fixed = [target for target in targets if fix and target.kind in FIXED]
    plain = [target for target in targets if not (fix and target.kind in FIXED)]
    probes: dict[tuple[str, int], _Probe] = {}
    with reading.model.inside(), ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_graph_from_first_block(reading.places))
        attended = stack.enter_context(attention_recorded(reading.places, fixed))
        with _probed(reading, plain, scene, probes):
            states, hidden = reading.read(scene.batch.windows)
        for target in plain:
            check_fired(reading.places, target.name, (target.kind, target.layer) in probes)
        rows = states.windows < own
        wanted = [probe.zeros for probe in probes.values()]
        wanted += [layer.weights for layer in attended.values()]
        signals = _signals(reading.backbone, scene, states, hidden, rows)
        sums = torch.zeros(len(targets), dtype=torch.float64)
        for weight, power, signal in signals:
            gradients = torch.autograd.grad(
                hidden, wanted, signal, allow_unused=True, retain_graph=True
            )
            of_probes = dict(zip(probes, gradients, strict=False))
            of_attention = dict(zip(attended, gradients[len(probes) :], strict=True))
            with torch.no_grad():
                found = {t: _first_order(reading, scene, t, probes, of_probes) for t in plain}
                found |= saturation_fixed(reading.places, fixed, attended, of_attention, scene)
                orders = torch.stack([found[target].double().cpu() for target in targets])
            sums += weight * orders.pow(power).sum(1)  # [targets, windows] summed
    return sums, int(rows.sum())


def _signals(
    backbone: Backbone, scene: Scene, states: States, hidden: Tensor, own: Tensor
) -> Iterator[tuple[float, int, Tensor]]:
    """Weight, power and gradient at what the head reads, of each term of the estimate."""
    config = scene.config
    if config.metric != "kl":
        yield 1.0, 1, _gradient_of_rows(backbone, config.metric, hidden, states.labels, own)
    if config.metric != "logit-diff":
        counts = states.windows.cpu().bincount(minlength=len(scene.batch.windows)).tolist()
        for number in range(DRAWN):
            # Of a window, whatever else is in the batch.
            draws = [
                torch.rand(
                    count, generator=seeded(config.seed, f"{number}/{w.document}/{w.ends[0]}")
                )
                for count, w in zip(counts, scene.batch.windows, strict=True)
            ]
            drawn = draw_tokens(backbone, hidden.detach(), torch.cat(draws))
            signal = _gradient_of_rows(backbone, "nll", hidden, drawn, own)
            yield 0.5 / DRAWN, 2, signal


@contextmanager
def _graph_from_first_block(places: Places) -> Iterator[None]:
    """Has a graph begin at what the first block reads: no weight of a frozen model starts one."""

    def enter(_module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        if args:
            return (args[0].detach().requires_grad_(), *args[1:]), kwargs
        hidden = kwargs["hidden_states"].detach().requires_grad_()
        return args, {**kwargs, "hidden_states": hidden}

    hook = places.blocks[0].register_forward_pre_hook(enter, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _probed(
    reading: Reading,
    targets: Iterable[Target],
    scene: Scene,
    probes: dict[tuple[str, int], _Probe],
) -> Iterator[None]:
    """Adds zeros whose gradient is asked for to the values of some targets' places."""

    def probe(key: tuple[str, int]) -> Change:
        def change(value: Tensor) -> Tensor:
            zeros = torch.zeros_like(value).requires_grad_()
            wide = value.detach().reshape(*scene.batch.real.shape, -1)
            probes[key] = _Probe(wide, zeros)
            return value + zeros

        return change

    with ExitStack() as stack:
        for kind, layer in sorted({(target.kind, target.layer) for target in targets}):
            stack.enter_context(reading.places.changed(kind, layer, probe((kind, layer))))
        yield


def _first_order(
    reading: Reading,
    scene: Scene,
    target: Target,
    probes: dict[tuple[str, int], _Probe],
    gradients: Mapping[tuple[str, int], Tensor | None],
) -> Tensor:
    """The first order of one gradient [windows]."""
    key = (target.kind, target.layer)
    gradient, value = gradients[key], probes[key].value
    if gradient is None:
        return torch.zeros(len(value))
    columns = target.columns(reading.places)
    change = (replacement(value, scene, target) - value)[..., columns]
    return (change * gradient.reshape(value.shape)[..., columns]).sum((1, 2))


def _gradient_of_rows(
    backbone: Backbone, metric: str, hidden: Tensor, labels: Tensor, own: Tensor
) -> Tensor:
    """The gradient of the summed metric at what the head reads, 0 at rows of other windows."""
    leaf = hidden.detach()
    foils = likeliest_others(backbone, leaf, labels) if metric == "logit-diff" else None
    rows = Rows(leaf, labels, foils)
    found = torch.zeros_like(leaf)
    for some in blocks_of_rows(backbone, len(leaf)):
        part = leaf[some].requires_grad_()
        values = METRICS[metric](wide(backbone.head(part)), None, rows, some)
        found[some] = torch.autograd.grad((values * own[some]).sum(), part)[0]
    return found
