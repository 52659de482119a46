"""Corrections in plain tensors, and models of the exported code around them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.exported.backbone_abi_hosted import SUBFOLDER
from transplant.exported.configuration_abi_hosted import AbiHostedConfig
from transplant.exported.modeling_abi_hosted import (
    LINEAR,
    AbiHostedForCausalLM,
    AbiHostedForConditionalGeneration,
)
from transplant.modules.correction import Correction
from transplant.modules.forms import LiteModule, MlpModule

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.backbones.view import Backbone
    from transplant.modules.gate import Gate
    from transplant.modules.linear import LinearCorrection

FORMS: dict[type, str] = {MlpModule: "mlp", LiteModule: "lite"}
CODE = "modeling_abi_hosted"


@dataclass(frozen=True)
class StandAlone:
    """A correction as the exported code builds it."""

    shape: dict[str, Any]
    """What a configuration says of it: `form`, `taps`, `tap_norms`, `d_abi` and `gate`, or
    `columns` of a linear map."""
    tensors: dict[str, Mapping[str, Tensor]]
    """Of each part, by the names that the exported part has, too."""

    @property
    def form(self) -> str:
        """`linear`, or that of the module, `mlp` or `lite`."""
        return self.shape["form"]


def stand_alone_module(name: str, correction: Any, gate: Gate | None) -> StandAlone:
    """Interface, module and gate of a hosted model.

    Args:
        name: what it is called.
        correction: what it adds, whatever that is.
        gate: where there is one.

    Raises:
        InputError: it is no domain module behind an interface, or one of another form.
    """
    module = correction.module if type(correction) is Correction else None
    if not isinstance(correction, Correction) or type(module) not in FORMS:
        raise InputError(
            f"{name} has no module of a form that can be exported so",
            expected=f"{LINEAR}, or one of {sorted(FORMS.values())}",
            found="none" if correction is None else type(module or correction).__name__,
            hint="`form='lora'` takes a LoRA",
        )
    interface = correction.interface
    parts = {"interface": interface, "domain_module": correction.module, "gate": gate}
    return StandAlone(
        {
            "taps": list(interface.taps), "tap_norms": bool(interface.tap_norms),
            "form": FORMS[type(module)], "d_abi": interface.d_abi, "gate": gate is not None,
        },
        {name: part.state_dict() for name, part in parts.items() if part is not None},
    )  # fmt: skip


def stand_alone_linear(linear: LinearCorrection) -> StandAlone:
    """A linear map of the taps, or of columns of each."""
    interface = linear.interface
    tensors = {name.removeprefix("interface."): one for name, one in linear.stored().items()}
    return StandAlone(
        {
            "taps": list(interface.taps), "tap_norms": bool(interface.tap_norms), "form": LINEAR,
            "columns": [basis.shape[1] for basis in linear.bases],
        },
        {LINEAR: tensors},
    )  # fmt: skip


def build(
    own: StandAlone,
    backbone: Backbone,
    reference: Mapping[str, Any],
    text_config: Any,
    *,
    code: bool = False,
) -> Any:
    """The model of the exported code in memory, around the same backbone.

    Args:
        own: what is added.
        backbone: what it is added to; which of its parameters train stays as it is.
        reference: the backbone as the configuration refers to it.
        text_config: the backbone's configuration.
        code: whether the configuration names code that stands beside it.
    """
    config = AbiHostedConfig(
        text_config=text_config, backbone_reference=dict(reference),
        correction={"d_model": backbone.d_model, "last_tap": backbone.n_layers, **own.shape},
    )  # fmt: skip
    seq2seq = text_config.is_encoder_decoder
    cls = AbiHostedForConditionalGeneration if seq2seq else AbiHostedForCausalLM
    if code:
        auto = "AutoModelForSeq2SeqLM" if seq2seq else "AutoModelForCausalLM"
        config.auto_map = {
            "AutoConfig": "configuration_abi_hosted.AbiHostedConfig",
            auto: f"{CODE}.{cls.__name__}",
        }
    trained = [one for one in backbone.model.parameters() if one.requires_grad]
    model = cls(config, backbone.model)
    for parameter in trained:
        parameter.requires_grad_(True)
    for part, tensors in own.tensors.items():
        model.get_submodule(part).load_state_dict(tensors)
    return model


def refer_to(backbone: Backbone, *, inside: bool) -> tuple[dict[str, Any], Any]:
    """A backbone as a configuration refers to it, and its own configuration as that is stored.

    It goes into the folder where it is nowhere to be found, or is no longer what was loaded.

    Args:
        backbone: as it is in memory.
        inside: whether it goes into the folder in any case.
    """
    from transformers import AutoConfig

    model, where = backbone.model, str(backbone.model.config.name_or_path)
    folder = Path(where).resolve() if where and Path(where).is_dir() else None
    changed = any(parameter.requires_grad for parameter in model.parameters())
    reference = {
        "id": Path(backbone.name).name if Path(backbone.name).is_absolute() else backbone.name,
        "revision": backbone.revision, "path": None if folder is None else str(folder),
        "weights_sha256": backbone.weights_sha256, "tokenizer_sha256": backbone.tokenizer_sha256,
        "config_sha256": backbone.config_sha256,
    }  # fmt: skip
    if not (inside or changed) and (folder is not None or backbone.revision is not None):
        stored = AutoConfig.from_pretrained(where, revision=backbone.revision)
        stored._name_or_path = reference["id"]
        if stored.get_text_config().vocab_size == model.config.get_text_config().vocab_size:
            return reference, stored
    config = copy.deepcopy(model.config)
    config._name_or_path = reference["id"]
    return {**reference, "path": None, "subfolder": SUBFOLDER}, config
