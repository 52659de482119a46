"""Loading a backbone from a folder or a model hub."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from transplant.backbones.arithmetic import (
    best_device,
    cast,
    choose_dtype,
    multiplies,
    name_of,
    stored_dtype,
)
from transplant.backbones.causal import CausalBackbone
from transplant.backbones.configuration import hash_config
from transplant.backbones.core import CoreBackbone
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.fingerprint import hash_parameters, hash_tokenizer
from transplant.backbones.folder import check_folder, check_sizes
from transplant.backbones.view import Backbone
from transplant.backbones.whole import check_finite, check_fits, load_whole, quiet
from transplant.dtypes import AUTO, dtype_name
from transplant.errors import BackboneError, InputError, foreign
from transplant.files.plain import expand
from transplant.files.remembered import Checked, Memory
from transplant.text.windows import Window

CAUSAL_FAMILIES = (
    "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3",
    "gemma3_text", "phi3", "olmo2", "smollm3", "opt",
)  # fmt: skip
CORE_FAMILIES = ("layercake",)
PREFIX_FAMILIES = ("t5",)
FAMILIES = (*CAUSAL_FAMILIES, *CORE_FAMILIES, *PREFIX_FAMILIES)
PROBE_TOLERANCE = 1e-3  # of the largest logit
LOADABLE = "a registry name, a save_pretrained folder with safetensors, or a hub id"
DEVICES = "auto, cpu, cuda, cuda:1 or mps"
LIST = "`list(kind='backbone')`"


def load_backbone(
    name: str | Path,
    *,
    path: str | Path | None = None,
    revision: str | None = None,
    dtype: Any = AUTO,
    torch_dtype: Any = None,
    device: str = "cpu",
    trust_remote_code: bool = False,
    remembered: Path | None = None,
) -> Backbone:
    """Loads a frozen language model and gives the one view of it.

    Every weight comes from the files; `notes` of what is returned says what was odd but harmless.

    Args:
        name: a folder written by `save_pretrained`, or a hub id. Registry names are resolved to
            folders by `transplant.load` and by the command line.
        path: where the weights are, if the model goes by another name.
        revision: of a hub id: a branch, a tag or a commit; the commit is what is recorded.
        dtype: the arithmetic of the forward pass, as a name or a `torch.dtype`: float32, bfloat16,
            float16, or `auto` for what the weights are stored in where the device multiplies it
            natively, else float32. The fingerprint is that of the stored weights with any.
        torch_dtype: the same under another name.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        trust_remote_code: run code that comes with the weights. Off unless asked for by name.
        remembered: a file that keeps what was checked, so that a folder that is as it was is not
            checked again (`transplant.files.remembered` says how); None checks always.

    Raises:
        BackboneError: nothing there, files that cannot be read, weights that are missing or do not
            fit the configuration, no fast tokenizer, or no view of this family.
        NumericalError: a weight that is NaN or infinite.
        InputError: a dtype or a device that is not to be had.
    """
    wanted, place = dtype_name(dtype, torch_dtype), check_device(device)
    source = str(path or name)
    folder = expand(source)
    memory = Memory(remembered, folder.resolve() if folder.is_dir() else None)
    state = memory.state()
    known = memory.recall(state)
    files = _Files(source, revision, trust_remote_code)
    model, tokenizer, unexpected = _load(files, checked=known is not None)
    if known is None:
        check_finite(model, str(name))  # named before training finds a loss that is NaN
        _check_ids(str(name), model, tokenizer)
        config_hash = hash_config(model.config)
        # Before the cast: of the weights as they are stored.
        checked = Checked(hash_parameters(model), hash_tokenizer(tokenizer), config_hash)
    else:
        checked = known
    chosen = choose_dtype(wanted, stored_dtype(model), place)
    with foreign(f"`device={device!r}` is not to be had here", InputError, expected=DEVICES):
        model = cast(model, chosen).to(device=place)
    if chosen == torch.float16:
        check_finite(model, f"{name} in float16", "bfloat16 or float32, which hold larger numbers")
    commit = None if folder.is_dir() else getattr(model.config, "_commit_hash", None) or revision
    backbone = view_of(str(name), model, tokenizer, revision=commit, **asdict(checked))
    if known is None:
        _probe(backbone)
        memory.keep(state, checked)
    if not multiplies(place, chosen):
        backbone.notes.append(
            f"this {place.type} has no instructions for {name_of(chosen)}: float32 is faster"
        )
    if unexpected:
        names = ", ".join(unexpected[:4])
        backbone.notes.append(
            f"{name} has no place for {len(unexpected)} tensors of its file: {names}"
        )
    return backbone


def view_of(name: str, model: Any, tokenizer: Any, **known: Any) -> Backbone:
    """The view of a model that is already in memory; see `Backbone` for `known`.

    Raises:
        BackboneError: a family that is neither named nor fits the generic view, or a tokenizer with
            tokens that the model has no embedding of.
    """
    family = model.config.model_type
    if not getattr(tokenizer, "is_fast", False):
        raise BackboneError(
            f"the tokenizer of {name} has no character offsets",
            expected="a fast tokenizer (tokenizer.json)",
            found=type(tokenizer).__name__,
        )
    if known.get("tokenizer_sha256") is None:  # else it was checked when that was computed
        _check_ids(name, model, tokenizer)
    if family in PREFIX_FAMILIES:
        return PrefixBackbone(name, model, tokenizer, **known)
    if family in CORE_FAMILIES:
        return CoreBackbone(name, model, tokenizer, **known)
    if family in CAUSAL_FAMILIES:
        return CausalBackbone(name, model, tokenizer, **known)
    return _generic_view(name, model, tokenizer, **known)


@dataclass(frozen=True)
class _Files:
    """Where a model comes from."""

    source: str
    revision: str | None
    trust_remote_code: bool


def _load(files: _Files, *, checked: bool) -> tuple[Any, Any, list[str]]:
    """Model, tokenizer, and the names of tensors that the model has no place for.

    Where the folder was checked before, it is not looked through again.
    """
    source, revision = files.source, files.revision
    folder = expand(source)
    with (
        quiet(),
        foreign(f"cannot load backbone {source!r}", BackboneError, expected=LOADABLE, hint=LIST),
    ):
        from transformers import (
            AutoConfig,
            AutoModelForCausalLM,
            AutoModelForSeq2SeqLM,
            AutoTokenizer,
            PreTrainedConfig,
        )

        from transplant.backbones.layercake.registration import register

        register()  # so that the Auto classes know a core
        held = None
        if folder.is_dir():
            held = None if checked else check_folder(folder)
            source = str(folder)
        elif source.startswith((".", "/", "~")):
            raise BackboneError(f"no such backbone folder: {source}")
        if not checked:
            raw, _ = PreTrainedConfig.get_config_dict(source, revision=revision)
            check_sizes(raw, source, held)
        options = {"revision": revision, "trust_remote_code": files.trust_remote_code}
        config = AutoConfig.from_pretrained(source, **options)
        auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        if held is not None and type(config) in auto._model_mapping:
            check_fits(auto, config, source, held)
        model, unexpected = load_whole(auto, source, dtype="auto", use_safetensors=True, **options)
    with quiet(), foreign(
        f"cannot load the tokenizer of {source!r}", BackboneError,
        expected="a fast tokenizer (tokenizer.json) as save_pretrained writes it",
    ):  # fmt: skip
        return model, AutoTokenizer.from_pretrained(source, **options), unexpected


def check_device(device: str) -> torch.device:
    """A device by its name, found before anything is read: a sum must come back from it.

    Raises:
        InputError: it is not to be had.
    """
    with foreign(f"`device={device!r}` is not to be had here", InputError, expected=DEVICES):
        place = torch.device(best_device() if device == AUTO else device)
        if place.type == "cpu" and place.index:
            raise ValueError(f"there is one cpu, and no cpu:{place.index}")
        torch.ones(2, device=place).sum().cpu()
        return place


def _check_ids(name: str, model: Any, tokenizer: Any) -> None:
    """Refuses a tokenizer that may give ids which the model has no embedding of."""
    with foreign(f"the vocabulary of {name} cannot be read", BackboneError):
        rows = model.get_input_embeddings().weight.shape[0]
        token, largest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if largest >= rows:
        raise BackboneError(
            f"the tokenizer of {name} is not that of its weights: token {token!r} has no embedding",
            expected=f"ids below {rows:,}",
            found=f"id {largest:,}",
            hint="the tokenizer that the weights were trained with, or resize_token_embeddings",
        )


@torch.no_grad()
def _probe(backbone: Backbone) -> None:
    """Refuses what cannot read a few tokens: settings whose nonsense shows only at work."""
    with foreign(
        f"{backbone.name} cannot read text", BackboneError,
        expected="a configuration that fits its weights", hint="restore its config.json",
    ):  # fmt: skip
        if min(backbone.context - 1, backbone.n_layers) < 1:
            raise ValueError(f"{backbone.n_layers} layers, a window of {backbone.context} tokens")
        if not backbone.tokenizer("a text", return_offsets_mapping=True)["offset_mapping"]:
            raise ValueError("a tokenizer that makes no token of a text")
        ids = [n % backbone.vocab_size for n in range(min(4, backbone.context))]
        states = backbone.read([Window(ids, range(1, len(ids) + 1), 0)], backbone.all_taps[-1:])
        logits = backbone.head(states.h_last[:1])
        if not torch.isfinite(logits.float()).all():
            raise ValueError("logits that are NaN or infinite")


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
