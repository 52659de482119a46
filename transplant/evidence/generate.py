"""Text that hosted models write on from a prompt, side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from transplant.errors import InputError
from transplant.evidence.beside import load_beside
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.modules.hosted import HostedModel


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How text is written."""

    max_new_tokens: int = 64
    """Tokens that are written at most."""
    temperature: float = 0.0
    """Of the draws; at 0 the likeliest token is taken."""
    top_p: float = 1.0
    """Draws are among the likeliest tokens of this share."""
    top_k: int = 0
    """Draws are among so many of the likeliest tokens; 0 for all."""
    chat: bool = False
    """Whether the prompt is a turn of a user's, in the model's own template."""

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            InputError: a field outside its range.
        """
        for name, right, expected in (
            ("max_new_tokens", self.max_new_tokens >= 1, ">= 1"),
            ("temperature", 0 <= self.temperature < float("inf"), ">= 0"),
            ("top_p", 0 < self.top_p <= 1, "above 0, at most 1"),
            ("top_k", self.top_k >= 0, ">= 0"),
        ):
            if not right:
                raise InputError(f"`{name}`", expected=expected, found=getattr(self, name))
        idle = [name for name, none in (("top_p", 1), ("top_k", 0)) if getattr(self, name) != none]
        if idle and not self.temperature:
            raise InputError(
                f"`{idle[0]}` is of draws, and at `temperature=0` nothing is drawn",
                expected="`temperature` above 0", found=self.temperature,
            )  # fmt: skip

    def options(self) -> dict[str, Any]:
        """The same for `generate` of `transformers`."""
        options: dict[str, Any] = {"max_new_tokens": self.max_new_tokens, "do_sample": False}
        if self.temperature:
            options |= {"do_sample": True, "temperature": self.temperature, "top_k": self.top_k}
            options["top_p"] = self.top_p
        return options


class Listener(Protocol):
    """Somebody who reads along."""

    def begin(self, role: str, model: str, prompt: str) -> None:
        """A text begins."""
        ...

    def add(self, piece: str) -> None:
        """It goes on."""
        ...

    def end(self) -> None:
        """It is whole."""
        ...


class NoListener:
    """Nobody."""

    def begin(self, role: str, model: str, prompt: str) -> None:
        """Does nothing."""

    def add(self, piece: str) -> None:
        """Does nothing."""

    def end(self) -> None:
        """Does nothing."""


def run_generate(
    work: Work,
    model: str,
    prompts: Sequence[str],
    *,
    native: str | None = None,
    config: GenerateConfig | None = None,
    listener: Listener | None = None,
) -> dict[str, Any]:
    """Has a hosted model, its raw backbone and a native write on from prompts.

    All draw from the same seed. A text ends where the model's positions do, if not before.

    Args:
        work: library, device, seed and reporter.
        model: a backbone, or what is hosted on one.
        prompts: each by itself.
        native: see `load_beside`.
        config: how.
        listener: is given each piece of text as it comes.

    Returns:
        The report: for each prompt, by role, the text, its tokens and seconds.

    Raises:
        InputError: an empty prompt, one that fills the model's positions, or a model without a
            template for chats.
    """
    config = config or GenerateConfig()
    if not prompts or not all(prompts):
        raise InputError("`prompt`", expected="text", found="nothing")
    systems = load_beside(work, model, native)
    encoded = [_encode(next(iter(systems.values())), prompt, config) for prompt in prompts]
    texts = [
        {
            "prompt": prompt,
            **{
                role: _write(work, role, one, prompt, ids, config, listener or NoListener())
                for role, one in systems.items()
            },
        }
        for prompt, ids in zip(prompts, encoded, strict=True)
    ]
    return {
        "model": model,
        "systems": {role: one.name for role, one in systems.items()},
        "settings": {**config.options(), "chat": config.chat, "seed": work.seed},
        "texts": texts,
        "made": work.made(),
    }


def _encode(model: HostedModel, prompt: str, config: GenerateConfig) -> Tensor:
    """The tokens [1, seq] of a prompt.

    Raises:
        InputError: no template, or no tokens.
    """
    tokenizer: Any = model.tokenizer
    if config.chat:
        if tokenizer.chat_template is None:
            raise InputError(
                f"{model.backbone.name} has no template for chats",
                hint="a prompt without `chat`",
            )
        turns = [{"role": "user", "content": prompt}]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(
        prompt, return_tensors="pt", add_special_tokens=not config.chat, verbose=False
    ).input_ids
    if not ids.shape[1]:
        raise InputError("`prompt`", expected="text with tokens", found=repr(prompt))
    return ids


def _write(
    work: Work,
    role: str,
    model: HostedModel,
    prompt: str,
    ids: Tensor,
    config: GenerateConfig,
    listener: Listener,
) -> dict[str, Any]:
    import torch

    from transplant.backbones.whole import quiet

    tokenizer: Any = model.tokenizer
    table: Any = model.get_input_embeddings()
    place = table.weight.device
    listener.begin(role, model.name, prompt)
    began = time.perf_counter()
    with torch.random.fork_rng(), torch.no_grad(), quiet():
        torch.manual_seed(work.seed)
        written = model.generate(
            ids.to(place), attention_mask=torch.ones_like(ids, device=place),
            streamer=_streamer(tokenizer, listener), pad_token_id=_padding(tokenizer),
            suppress_tokens=model.backbone.padding_rows or None, **config.options(),
        )[0]  # fmt: skip
    listener.end()
    # A decoder alone gives the prompt, too; the other kind the token that it starts with.
    skipped = 1 if model.config.is_encoder_decoder else ids.shape[1]
    return {
        "model": model.name,
        "text": tokenizer.decode(written[skipped:], skip_special_tokens=True),
        "tokens": len(written) - skipped,
        "seconds": time.perf_counter() - began,
    }


def _padding(tokenizer: Any) -> int:
    found = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((one for one in found if one is not None), 0)


def _streamer(tokenizer: Any, listener: Listener) -> Any:
    from transformers import TextStreamer

    class Pieces(TextStreamer):
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002
            listener.add(text)

    return Pieces(tokenizer, skip_prompt=True, skip_special_tokens=True)
