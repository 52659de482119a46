"""A router between two hosted models: the first one where it is sure, else the second."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin

from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.errors import InputError
from transplant.exported.hosting_abi_hosted import HostingModel, not_none
from transplant.modules.entropy import entropy_of
from transplant.modules.follower import Follower
from transplant.modules.hosted import HostedModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


GUESSING = ("assistant_model", "prompt_lookup_num_tokens", "assistant_early_exit", "use_mtp")
"""Options of `generate` by which tokens are guessed, and taken back where they are wrong."""


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
            options: whatever else the backbones take, but for a cache: two models need two, and an
                output has room for one.

        Raises:
            InputError: labels for an encoder-decoder, whose logits are those of half a window, or a
                key-value cache.
        """
        _refuse_cache(options)
        if labels is not None and isinstance(self.model.backbone, PrefixBackbone):
            raise InputError(
                f"{self.name} has no loss", expected="a decoder-only model, or no `labels`",
                found=self.model.backbone.family,
            )  # fmt: skip
        self.kept = self.seen = 0
        options |= {"use_cache": False, **not_none(attention_mask=attention_mask)}
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
            InputError: beams, whose caches are reordered; tokens that are guessed and taken back;
                a cache of another call; embeddings in place of tokens; or an encoder-decoder.
        """
        self.model.generation_config = self.generation_config
        self._refuse(_asked_of(args, options, self.generation_config))
        self.kept = self.seen = 0
        with self._routing(Follower(self.baseline)):
            return self.model.generate(*args, **options)

    def _refuse(self, asked: Mapping[str, Any]) -> None:
        """Refuses generations in which the baseline could not keep up."""
        beams = asked.get("num_beams") or 1
        guessed = [name for name in GUESSING if asked.get(name)]
        found = None
        if isinstance(self.model.backbone, PrefixBackbone):
            found = self.model.backbone.family
        elif beams > 1:
            found = f"{beams} beams"
        elif guessed:
            found = guessed[0]
        else:
            begun = ("past_key_values", "inputs_embeds")
            found = next((name for name in begun if asked.get(name) is not None), None)
        if found:
            raise InputError(
                "a route generates token by token, from the beginning of the text",
                expected="a decoder-only model, 1 beam, no assistant, `input_ids` without a cache",
                found=found,
            )  # fmt: skip

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
    def _routing(self, follower: Follower) -> Iterator[None]:
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


def _refuse_cache(options: Mapping[str, Any]) -> None:
    for name in ("past_key_values", "use_cache"):
        if options.get(name) not in (None, False):
            raise InputError(
                "a route keeps no cache between passes", expected="the whole text in each pass",
                found=f"`{name}`", hint="`generate()` keeps one for each of the two models",
            )  # fmt: skip


def _asked_of(args: Sequence[Any], options: Mapping[str, Any], own: Any) -> dict[str, Any]:
    """What a generation is asked for: by its options, else by its configuration.

    Args:
        args: of `generate`.
        options: of `generate`.
        own: the model's configuration of a generation.
    """
    bound = inspect.signature(vars(GenerationMixin)["generate"]).bind_partial(
        None, *args, **options
    )
    given = {**bound.arguments, **bound.arguments.get("kwargs", {})}
    return {**vars(given.get("generation_config") or own), **given}


def _chosen(routed: Tensor, own: Tensor, other: Tensor) -> Tensor:
    return torch.where(routed[..., None], other.to(own), own)
