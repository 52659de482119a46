"""A `save_pretrained` folder of what is hosted, which the Auto classes of `transformers` load."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.workflows.export.probe import largest_difference

if TYPE_CHECKING:
    from transplant.workflows.export.source import Source
    from transplant.workflows.export.spec import ExportJob

KEPT = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "LICENSE*", "NOTICE*")
"""Files of a backbone that are copied, as bytes."""
OURS = ("manifest.json",)
LIBRARY = "transformers"


def check(source: Source, job: ExportJob) -> None:
    """Refuses what such a folder cannot hold.

    Raises:
        InputError: naming it.
    """
    from transplant.backbones.core import CoreBackbone

    source.hosted.stand_alone()
    if job.code and isinstance(source.hosted.backbone, CoreBackbone):
        raise InputError(
            f"{source.hosted.backbone.name} is a core, whose code is not that of `transformers`",
            hint="without `code`: the folder loads where this library is imported",
        )


def bytes_needed(source: Source, job: ExportJob) -> int:
    """The bytes that will be written."""
    own = sum(
        tensor.nbytes
        for part in source.hosted.stand_alone().tensors.values()
        for tensor in part.values()
    )
    inside = _files(source.folder) if job.with_backbone else []
    return own + sum(file.stat().st_size for file in inside)


def write(source: Source, job: ExportJob, folder: Path) -> dict[str, Any]:
    """Fills a folder, and compares the logits of what it wrote with those of what was loaded."""
    from transplant.backbones.quiet import quiet

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
        "logits": difference, "class": type(model).__name__, "loader": source.loader,
        "code": job.code,
        "with_backbone": job.with_backbone, "use": _use(source, job),
    }  # fmt: skip


def _use(source: Source, job: ExportJob) -> str:
    """How the folder is loaded, for its card."""
    auto = source.loader
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

    from transplant.loading.registration import register_models
    from transplant.modules import stand_alone

    register_models()
    hosted, reference = source.hosted, source.reference(public=public)
    inner = AutoConfig.from_pretrained(source.folder)  # as it is stored: in memory it may be cast
    inner._name_or_path = reference["id"]
    own = hosted.stand_alone()
    return stand_alone.build(own, hosted.backbone, reference, inner, code=code).eval()


def _files(folder: Path) -> list[Path]:
    found = {file for pattern in KEPT for file in folder.glob(pattern)}
    return sorted(file for file in found if file.is_file() and file.name not in OURS)


def _refer_to_inside(folder: Path, config: Any) -> None:
    """Has the configuration name the copy, and no folder of this machine."""
    from transplant.exported.backbone_abi_hosted import SUBFOLDER

    reference = {key: value for key, value in config.backbone_reference.items() if key != "path"}
    config.backbone_reference = {**reference, "path": None, "subfolder": SUBFOLDER}
    config.save_pretrained(folder)
