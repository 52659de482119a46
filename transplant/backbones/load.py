"""Loading a backbone from a folder or a model hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from transplant.backbones.causal import CausalBackbone
from transplant.backbones.core import CoreBackbone
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.fingerprint import hash_parameters
from transplant.backbones.view import Backbone
from transplant.errors import BackboneError, InputError

CAUSAL_FAMILIES = (
    "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "opt",
)  # fmt: skip
CORE_FAMILIES = ("layercake",)
PREFIX_FAMILIES = ("t5",)
FAMILIES = (*CAUSAL_FAMILIES, *CORE_FAMILIES, *PREFIX_FAMILIES)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PROBE_TOLERANCE = 1e-3  # of the largest logit


def load_backbone(
    name: str | Path,
    *,
    path: str | Path | None = None,
    revision: str | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    trust_remote_code: bool = False,
) -> Backbone:
    """Loads a frozen language model and gives the one view of it.

    Args:
        name: a folder written by `save_pretrained`, or a hub id. Registry names are resolved to
            folders by `transplant.load` and by the command line.
        path: where the weights are, if the model goes by another name.
        revision: a hub revision.
        dtype: the arithmetic of the forward pass: float32, bfloat16 or float16.
        device: `cpu`, `cuda`, `cuda:1`, `mps`.
        trust_remote_code: run code that comes with the weights. Off unless asked for by name.

    Raises:
        BackboneError: nothing there, no weights, no fast tokenizer, or no view of this family.
    """
    if dtype not in DTYPES:
        raise InputError("unknown dtype", expected=f"one of {sorted(DTYPES)}", found=dtype)
    source = str(path or name)
    model, tokenizer = _load(source, revision, trust_remote_code)
    stored_hash = hash_parameters(model)  # before the cast: of the weights as they are stored
    try:
        model = model.to(dtype=DTYPES[dtype], device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"--device {device} is not to be had here",
            expected="cpu, cuda, cuda:1 or mps",
            found=_first_line(error),
        ) from error
    return view_of(str(name), model, tokenizer, revision=revision, weights_sha256=stored_hash)


def view_of(name: str, model: Any, tokenizer: Any, **known: Any) -> Backbone:
    """The view of a model that is already in memory; see `Backbone` for `known`.

    Raises:
        BackboneError: a family that is neither named nor fits the generic view.
    """
    family = model.config.model_type
    if not getattr(tokenizer, "is_fast", False):
        raise BackboneError(
            f"the tokenizer of {name} has no character offsets",
            expected="a fast tokenizer (tokenizer.json)",
            found=type(tokenizer).__name__,
        )
    if family in PREFIX_FAMILIES:
        return PrefixBackbone(name, model, tokenizer, **known)
    if family in CORE_FAMILIES:
        return CoreBackbone(name, model, tokenizer, **known)
    if family in CAUSAL_FAMILIES:
        return CausalBackbone(name, model, tokenizer, **known)
    return _generic_view(name, model, tokenizer, **known)


def _load(source: str, revision: str | None, trust_remote_code: bool) -> tuple[Any, Any]:
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        AutoTokenizer,
    )

    from transplant.backbones.layercake.registration import register

    register()  # so that the Auto classes know a core
    folder = Path(source).expanduser()
    if folder.is_dir():
        _require_weights(folder)
        source = str(folder)
    elif source.startswith((".", "/", "~")):
        raise BackboneError(f"no such backbone folder: {source}")
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(source, **options)
        auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model = auto.from_pretrained(source, dtype="auto", use_safetensors=True, **options)
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise BackboneError(
            f"cannot load backbone {source!r}",
            expected="a registry name, a save_pretrained folder with safetensors, or a hub id",
            found=_first_line(error),
            hint="abi list --kind backbone",
        ) from error
    return model, tokenizer


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _require_weights(folder: Path) -> None:
    for pattern, what in (("config.json", "a config.json"), ("*.safetensors", "weights")):
        if not any(folder.glob(pattern)):
            pickled = " (pickled weights are never loaded)" if any(folder.glob("*.bin")) else ""
            raise BackboneError(
                f"backbone folder {folder} has no {what.removeprefix('a ')}{pickled}",
                expected=f"{what} as save_pretrained writes it ({pattern})",
            )


@torch.no_grad()
def _generic_view(name: str, model: Any, tokenizer: Any, **known: Any) -> Backbone:
    """Any other causal model, if the standard accessors prove to give its own logits."""
    families = f"one of {', '.join(FAMILIES)}, or a causal model with standard accessors"
    family = model.config.model_type
    if model.config.is_encoder_decoder or model.get_output_embeddings() is None:
        raise BackboneError(f"no view of {name}", expected=families, found=family)
    view = CausalBackbone(name, model, tokenizer, **known)
    ids = torch.arange(8, device=view.device).remainder(view.vocab_size)[None]
    try:
        expected = model(input_ids=ids, use_cache=False).logits.float()
        found = view.head(view.reader()(input_ids=ids, use_cache=False).last_hidden_state).float()
        off = (expected - found).abs().max() / expected.abs().max().clamp_min(1e-6)
    except (AttributeError, TypeError, RuntimeError) as error:
        raise BackboneError(f"no view of {name}", expected=families, found=family) from error
    if off > PROBE_TOLERANCE:
        raise BackboneError(
            f"no view of {name}: its head does more than a matrix to its last hidden state",
            expected=families,
            found=f"{family}, logits off by {off:.1e} of the largest",
        )
    return view
