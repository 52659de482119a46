"""A router between two hosted models: the first one where it is sure, else the second."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.errors import InputError
from transplant.exported.hosting_abi_hosted import HostingModel, not_none
from transplant.modules.entropy import entropy_of
from transplant.modules.hosted import HostedModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class RoutedModel(HostingModel):
    """`model` where the entropy of its next-token distribution is at most `tau`, else `baseline`.

    `model(input_ids=...).logits` and `model.generate(...)` choose at every position of every text.
    In a generation the baseline has a cache of its own, and runs only once it is needed: it then
    reads what it has missed. Configuration, embeddings and loss are those of `model`; nothing of it
    trains.

    Args:
        model: answers where it is sure.
        baseline: answers elsewhere; it reads the same tokens.
        tau: in nats; the choice of `route_sim`.
    """

    def __init__(self, model: HostedModel, baseline: HostedModel, tau: float) -> None:
        super().__init__(model.config)
        own, other = model.backbone, baseline.backbone
        if own.tokenizer_sha256 != other.tokenizer_sha256 or own.vocab_size != other.vocab_size:
            raise InputError(
                "a route leads between models of one vocabulary",
                expected=f"the tokenizer of {own.name}", found=f"that of {other.name}",
            )  # fmt: skip
        if not tau >= 0:
            raise InputError("`route`", expected="nats, >= 0", found=tau)
        self.name = f"{model.name}|{baseline.name}"
        self.model, self.baseline, self.tau = model, baseline, tau
        self.kept = self.seen = 0
        """Positions of the last call that the model has kept, of so many."""
        self.adopt()
        self.eval()

    @property
    def inner(self) -> Any:
        """The first model: what it gives is routed."""
        return self.model

    @property
    def insides(self) -> tuple[HostedModel, HostedModel]:
        """Both."""
        return self.model, self.baseline

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """That of both."""
        return self.model.tokenizer

    @torch.no_grad()
    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
        labels: Tensor | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """The model's output for `input_ids` [batch, seq], its logits replaced where it is unsure.

        Padding that a mask names is not counted in `kept` and `seen`.

        Args:
            input_ids: [batch, seq].
            attention_mask: [batch, seq], 0 where there is padding.
            labels: [batch, seq], -100 where there is none; the loss is that of the routed logits.
            options: whatever else the backbones take.

        Raises:
            InputError: labels for an encoder-decoder, whose logits are those of half a window.
        """
        if labels is not None and isinstance(self.model.backbone, PrefixBackbone):
            raise InputError(
                f"{self.name} has no loss", expected="a decoder-only model, or no `labels`",
                found=self.model.backbone.family,
            )  # fmt: skip
        self.kept = self.seen = 0
        options |= not_none(attention_mask=attention_mask)
        output = self.model(input_ids, **options)
        routed = self._unsure(output.logits, options.get("attention_mask"))
        if routed.any():
            theirs = self.baseline(input_ids, **options).logits
            output.logits = _chosen(routed, output.logits, theirs)
        if labels is not None:
            size, inner = output.logits.shape[-1], self.model.language_model
            output.loss = inner.loss_function(output.logits, labels, vocab_size=size)
        return output

    @torch.no_grad()
    def generate(self, *args: Any, **options: Any) -> Any:
        """`generate` of the model's own backbone, each step's logits routed.

        Raises:
            InputError: beams, whose caches are reordered, or an encoder-decoder.
        """
        self.model.generation_config = self.generation_config
        config: Any = options.get("generation_config") or self.generation_config
        beams = options.get("num_beams", config.num_beams) or 1
        if beams > 1 or isinstance(self.model.backbone, PrefixBackbone):
            raise InputError(
                "a route generates text by text", expected="a decoder-only model, 1 beam",
                found=f"{beams} beams" if beams > 1 else self.model.backbone.family,
            )  # fmt: skip
        self.kept = self.seen = 0
        with self._routing(_Follower(self.baseline)):
            return self.model.generate(*args, **options)

    def save_pretrained(self, *_: Any, **__: Any) -> None:
        """Refuses: it is two models and a threshold.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{self.name} is a route between two models, and no folder",
            hint="save `.model` and `.baseline`; `transplant.load(NAME, route=tau)` routes again",
        )

    def push_to_hub(self, *_: Any, **__: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Refuses, as `save_pretrained` does."""
        self.save_pretrained()

    @contextmanager
    def _routing(self, follower: _Follower) -> Iterator[None]:
        """Has a hook on the model's backbone that replaces the logits of unsure positions."""

        def route(_module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            ids = kwargs.get("input_ids", args[0] if args else None)
            follower.read(ids, kwargs)
            routed = self._unsure(output.logits, None)
            if routed.any():
                theirs = follower.logits(output.logits.shape[1])
                output.logits = _chosen(routed, output.logits, theirs)
            return output

        handle = self.model.backbone.model.register_forward_hook(route, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def _unsure(self, logits: Tensor, mask: Tensor | None) -> Tensor:
        """Which positions [batch, seq] are routed; counts them."""
        routed = next_token_entropy(logits) > self.tau
        real = torch.ones_like(routed)
        if isinstance(mask, Tensor) and mask.shape == routed.shape:
            real = mask.bool().to(routed.device)
        self.kept += int((real & ~routed).sum())
        self.seen += int(real.sum())
        return routed


def next_token_entropy(logits: Tensor) -> Tensor:
    """The entropy in nats [batch, seq] of logits [batch, seq, vocab], text by text in float64."""
    return torch.stack([entropy_of(text.double().log_softmax(-1)) for text in logits])


def _chosen(routed: Tensor, own: Tensor, other: Tensor) -> Tensor:
    return torch.where(routed[..., None], other.to(own), own)


class _Follower:
    """The baseline in a generation: it keeps up with the text, late.

    Args:
        baseline: what is asked where the model is unsure.
    """

    def __init__(self, baseline: HostedModel) -> None:
        self.baseline = baseline
        self._cache: Any = None
        self._missed: list[Tensor] = []  # token ids [batch, new]
        self._positions: list[Tensor] = []
        self._mask: Tensor | None = None
        model: Any = baseline.backbone.model
        self._takes = inspect.signature(model.forward).parameters

    def read(self, ids: Tensor, asked: dict[str, Any]) -> None:
        """Notes the tokens of a step, their positions and what is padding so far."""
        device = self.baseline.backbone.device
        self._missed.append(ids.to(device))
        if isinstance(positions := asked.get("position_ids"), Tensor):
            self._positions.append(positions.expand(len(ids), -1).to(device))
        mask = asked.get("attention_mask")
        self._mask = mask.to(device) if isinstance(mask, Tensor) and mask.ndim == 2 else None

    def logits(self, count: int) -> Tensor:
        """The logits [batch, count, vocab] of the last positions; reads what was missed."""
        options: dict[str, Any] = {"past_key_values": self._cache, "use_cache": True}
        if self._mask is not None:
            options["attention_mask"] = self._mask
        if len(self._positions) == len(self._missed) and "position_ids" in self._takes:
            options["position_ids"] = torch.cat(self._positions, dim=1)
        if "logits_to_keep" in self._takes:
            options["logits_to_keep"] = count
        output = self.baseline(torch.cat(self._missed, dim=1), **options)
        self._cache = output.past_key_values
        self._missed.clear()
        self._positions.clear()
        return output.logits[:, -count:]
