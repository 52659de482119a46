"""A model and its tokenizer, read from a folder or a model hub as they are stored."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch

from transplant.backbones.folder import check_folder, check_sizes
from transplant.backbones.hub_ids import can_be_hub_id
from transplant.backbones.packed import check_head, check_known, quantisation, reading_packed
from transplant.backbones.paths import check_path, way_in
from transplant.backbones.quiet import quiet
from transplant.backbones.spread import Spread
from transplant.backbones.whole import check_fits, load_whole
from transplant.errors import BackboneError, foreign
from transplant.files.plain import expand

LOADABLE = "a registry name, a save_pretrained folder with safetensors, or a hub id as owner/model"
LIST = "`list(kind='backbone')`"


@dataclass(frozen=True)
class Files:
    """Where a model comes from, and where it goes."""

    source: str
    """A folder or a hub id."""
    revision: str | None
    """Of a hub id."""
    trust_remote_code: bool
    """Whether code that comes with the weights is run."""
    place: torch.device
    """Where it goes; weights that are not quantised are read to the processor, and moved later."""
    spread: Spread | None = None
    """Where its parts go, in place of that."""
    offline: bool = False
    """Whether the hub is out of reach: the cache of downloads is read, without a wait."""


def load_stored(
    files: Files, *, checked: bool, dtype: torch.dtype | str = "auto"
) -> tuple[Any, Any, list[str]]:
    """Model, tokenizer, and the names of tensors that the model has no place for.

    Args:
        files: where they are.
        checked: whether the folder was looked through before, and need not be again.
        dtype: of its weights; `auto` as they are stored.

    Raises:
        BackboneError: nothing there, or what cannot be read.
    """
    source, revision = files.source, files.revision
    folder = expand(source)
    with (
        quiet(),
        foreign(f"cannot load backbone {source!r}", BackboneError, expected=LOADABLE, hint=LIST),
    ):
        from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig

        from transplant.backbones.layercake.registration import register

        register()  # so that the Auto classes know a core
        held = None
        if folder.is_dir():
            held = None if checked else check_folder(folder)
            source = str(folder)
        else:
            check_path(source)
            if not can_be_hub_id(source):
                raise BackboneError(
                    f"no backbone {source!r}", expected=LOADABLE, hint=way_in(folder) or LIST
                )
        options: dict[str, Any] = {"revision": revision}
        if files.offline:
            options["local_files_only"] = True
        if not checked:
            raw, _ = PreTrainedConfig.get_config_dict(source, **options)
            check_sizes(raw, source, held)
        options["trust_remote_code"] = files.trust_remote_code
        config = AutoConfig.from_pretrained(source, **options)
        auto = _auto_class(config)
        if held is not None and type(config) in auto._model_mapping:
            check_fits(auto, config, source, held)
        model, unexpected = _whole(files, auto, config, source, dtype, options)
    with quiet(), foreign(
        f"cannot load the tokenizer of {source!r}", BackboneError,
        expected="a fast tokenizer (tokenizer.json) as save_pretrained writes it",
    ):  # fmt: skip
        return model, AutoTokenizer.from_pretrained(source, **options), unexpected


def _whole(
    files: Files, auto: Any, config: Any, source: str, dtype: torch.dtype | str,
    options: dict[str, Any],
) -> tuple[Any, list[str]]:  # fmt: skip
    packed = quantisation(config)
    more: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, **options}
    if "local_files_only" in options:  # the Auto classes look for an adapter by themselves
        more["adapter_kwargs"] = {"local_files_only": True}
    with reading_packed(source, packed), warnings.catch_warnings(), ExitStack() as stack:
        # A map may name a parameter that stands beside modules.
        warnings.filterwarnings("ignore", message=".*device_map keys do not match")
        keep = None
        if packed is not None:
            check_known(config)
        if files.spread is not None:
            more["device_map"] = files.spread.place(auto, config, dtype)
            more["offload_folder"], keep = stack.enter_context(files.spread.folder())
        elif packed is not None and files.place.type != "cpu":
            more["device_map"] = {"": files.place}  # what is packed is packed for its device
        model, unexpected = load_whole(auto, source, **more)
        if packed is not None:
            check_head(model, source, packed)
        if keep is not None:
            keep(model)
    return model, unexpected


def _auto_class(config: Any) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
