"""A `save_pretrained` folder of what is hosted, which the Auto classes of `transformers` load."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.workflows.export.modules import form_of
from transplant.workflows.export.probe import largest_difference

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.modules.hosted import HostedModel
    from transplant.workflows.export.source import Source
    from transplant.workflows.export.spec import ExportJob

KEPT = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "LICENSE*", "NOTICE*")
"""Files of a backbone that are copied, as bytes."""
OURS = ("manifest.json",)
LIBRARY = "transformers"
CODE = "modeling_abi_hosted"


def check(source: Source, job: ExportJob) -> None:
    """Refuses what such a folder cannot hold.

    Raises:
        InputError: naming it.
    """
    from transplant.backbones.core import CoreBackbone

    form_of(source.hosted)
    if job.code and isinstance(source.hosted.backbone, CoreBackbone):
        raise InputError(
            f"{source.hosted.backbone.name} is a core, whose code is not that of `transformers`",
            hint="without `code`: the folder loads where this library is imported",
        )


def bytes_needed(source: Source, job: ExportJob) -> int:
    """The bytes that will be written."""
    own = sum(tensor.nbytes for part in _parts(source).values() for tensor in part.values())
    inside = _files(source.folder) if job.with_backbone else []
    return own + sum(file.stat().st_size for file in inside)


def write(source: Source, job: ExportJob, folder: Path) -> dict[str, Any]:
    """Fills a folder, and compares the logits of what it wrote with those of what was loaded."""
    from transplant.backbones.whole import quiet

    model = build(source, code=job.code, public=job.push is not None)
    difference = largest_difference(source.hosted, model)
    if job.with_backbone:
        (folder / "backbone").mkdir()
        for file in _files(source.folder):
            shutil.copyfile(file, folder / "backbone" / file.name)
    with quiet():
        model.save_pretrained(folder)
        source.hosted.tokenizer.save_pretrained(folder)
    if job.with_backbone:
        _refer_to_inside(folder, model.config)
    for file in folder.glob("*.safetensors"):  # as readable as the others
        file.chmod((folder / "config.json").stat().st_mode & 0o777)
    return {
        "logits": difference, "class": type(model).__name__, "code": job.code,
        "with_backbone": job.with_backbone, "use": _use(source, job),
    }  # fmt: skip


def _use(source: Source, job: ExportJob) -> str:
    """How the folder is loaded, for its card."""
    seq2seq = source.hosted.backbone.model.config.is_encoder_decoder
    auto = "AutoModelForSeq2SeqLM" if seq2seq else "AutoModelForCausalLM"
    importing = "" if job.code else "import transplant\n"
    trusting = ", trust_remote_code=True" if job.code else ""
    inside = (
        "The backbone's weights are in `backbone/`."
        if job.with_backbone
        else "The backbone's weights are not in this folder: they are loaded from where "
        "`backbone_reference` in `config.json` says, or from `backbone=`, and compared."
    )
    return f"""```python
{importing}from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("DIR"{trusting})
tokenizer = AutoTokenizer.from_pretrained("DIR"{trusting})
```

{inside} They are frozen; what is added to them trains."""


def build(source: Source, *, code: bool, public: bool = False) -> Any:
    """The model of `transformers` in memory, around the same backbone.

    Args:
        source: the hosted module.
        code: whether its configuration names the code beside it.
        public: whether it goes to others, whom folders of this machine tell nothing.
    """
    from transformers import AutoConfig

    from transplant.exported.configuration_abi_hosted import AbiHostedConfig
    from transplant.exported.modeling_abi_hosted import (
        AbiHostedForCausalLM,
        AbiHostedForConditionalGeneration,
    )
    from transplant.exported.registration import register_models

    register_models()
    hosted, backbone = source.hosted, source.hosted.backbone
    inner = AutoConfig.from_pretrained(source.folder)  # as it is stored: in memory it may be cast
    reference = source.reference(public=public)
    inner._name_or_path = reference["id"]
    config = AbiHostedConfig(
        text_config=inner,
        backbone_reference=reference,
        correction={
            "d_model": backbone.d_model, "last_tap": backbone.n_layers, **_shape(hosted)
        },
    )  # fmt: skip
    seq2seq = inner.is_encoder_decoder
    cls = AbiHostedForConditionalGeneration if seq2seq else AbiHostedForCausalLM
    if code:
        auto = "AutoModelForSeq2SeqLM" if seq2seq else "AutoModelForCausalLM"
        config.auto_map = {
            "AutoConfig": "configuration_abi_hosted.AbiHostedConfig",
            auto: f"{CODE}.{cls.__name__}",
        }
    model = cls(config, backbone.model)
    for part, tensors in _parts(source).items():
        model.get_submodule(part).load_state_dict(tensors)
    return model.eval()


def _shape(hosted: HostedModel) -> dict[str, Any]:
    """What a configuration says of a correction."""
    from transplant.modules.hosted_linear import LinearModel

    form = form_of(hosted)
    if isinstance(hosted, LinearModel):
        interface = hosted.linear.interface
        own: dict[str, Any] = {"columns": [basis.shape[1] for basis in hosted.linear.bases]}
    else:
        assert hosted.correction is not None  # `form_of` has seen to it
        interface = hosted.correction.interface
        own = {"d_abi": interface.d_abi, "gate": hosted.gate is not None}
    return {
        "taps": list(interface.taps), "tap_norms": bool(interface.tap_norms), "form": form, **own
    }  # fmt: skip


def _parts(source: Source) -> dict[str, dict[str, Tensor]]:
    """The tensors of each part, by the names that the exported model has for both."""
    from transplant.modules.hosted_linear import LinearModel

    hosted = source.hosted
    if isinstance(hosted, LinearModel):
        stored = hosted.linear.stored()
        return {"linear": {name.removeprefix("interface."): one for name, one in stored.items()}}
    assert hosted.correction is not None  # `check` has seen to it
    parts = {
        "interface": hosted.correction.interface, "domain_module": hosted.correction.module,
        "gate": hosted.gate,
    }  # fmt: skip
    return {name: part.state_dict() for name, part in parts.items() if part is not None}


def _files(folder: Path) -> list[Path]:
    found = {file for pattern in KEPT for file in folder.glob(pattern)}
    return sorted(file for file in found if file.is_file() and file.name not in OURS)


def _refer_to_inside(folder: Path, config: Any) -> None:
    """Has the configuration name the copy, and no folder of this machine."""
    from transplant.exported.backbone_abi_hosted import SUBFOLDER

    reference = {key: value for key, value in config.backbone_reference.items() if key != "path"}
    config.backbone_reference = {**reference, "path": None, "subfolder": SUBFOLDER}
    config.save_pretrained(folder)
