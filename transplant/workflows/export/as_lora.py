"""A LoRA as a folder of PEFT: an adapter, one inside a basis, or a linear map on the head."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.workflows.export.probe import largest_difference, largest_on_head

if TYPE_CHECKING:
    from transplant.surgery.lora.update import LoraUpdate
    from transplant.workflows.export.source import Source
    from transplant.workflows.export.spec import ExportJob

LIBRARY = "peft"


def check(source: Source, job: ExportJob) -> None:  # noqa: ARG001  every form takes both
    """Refuses what is no LoRA.

    Raises:
        InputError: naming the export that takes it.
    """
    from transplant.modules.hosted_linear import LinearModel
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.surgery.lora.on_head import refuse_elsewhere
    from transplant.surgery.lora.peft_folder import refuse_whole

    hosted = source.hosted
    if isinstance(hosted, LoraModel):
        refuse_whole(hosted.update, hosted.name)
    elif isinstance(hosted, LinearModel):
        refuse_elsewhere(hosted.linear, hosted.backbone)
    else:
        raise InputError(
            f"{hosted.name} is no LoRA: its correction is no linear map",
            expected="a student `lora` or `basis`, or a `linear` one of the last layer",
            found=source.manifest.kind,
            hint="`form='transformers'` takes a module, `form='safetensors'` tells its equation",
        )  # fmt: skip


def bytes_needed(source: Source, job: ExportJob) -> int:  # noqa: ARG001
    """The bytes that will be written."""
    from transplant.surgery.lora.hosted import LoraModel

    if isinstance(source.hosted, LoraModel):
        return sum(tensor.nbytes for tensor in source.hosted.update.as_tensors().values())
    vocab, width = source.hosted.backbone.unembedding.shape
    return 4 * (vocab + width) * width


def write(source: Source, job: ExportJob, folder: Path) -> dict[str, Any]:
    """Fills a folder, and compares the logits of what it wrote with those of what was loaded."""
    from transplant.modules.hosted_linear import LinearModel
    from transplant.surgery.lora.folder import read_lora
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.surgery.lora.match import match_lora
    from transplant.surgery.lora.peft_folder import write_peft

    hosted, backbone = source.hosted, source.hosted.backbone
    update = _update(source)
    base = source.reference(public=job.push is not None)
    named = base["id"] if base["revision"] else base["path"] or base["id"]
    write_peft(folder, update, backbone, base=named, revision=base["revision"])
    again = match_lora(read_lora(folder), backbone)
    if isinstance(hosted, LinearModel) and backbone.dtype.itemsize < 4:
        difference = largest_on_head(hosted, next(iter(again.pairs.values())))
        compared_in = "single precision"
    else:
        difference = largest_difference(hosted, LoraModel(hosted.name, backbone, again))
        compared_in = str(backbone.dtype).removeprefix("torch.")
    return {
        "logits": difference,
        "compared_in": compared_in,
        "pairs": len(update.pairs),
        "ranks": sorted({len(pair.a) for pair in update.pairs.values()}),
        "merges": _merges(update, source),
        "loader": source.loader,
        "use": _use(source, update, base["id"]),
    }


def _update(source: Source) -> LoraUpdate:
    from transplant.modules.hosted_linear import LinearModel
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.surgery.lora.on_head import on_head

    hosted = source.hosted
    if isinstance(hosted, LinearModel):
        return on_head(hosted.linear, hosted.backbone)
    assert isinstance(hosted, LoraModel)  # `check` has seen to it
    return hosted.update


def _merges(update: LoraUpdate, source: Source) -> bool:
    """Whether PEFT can merge it: a bias only where the map has one."""
    modules = dict(source.hosted.backbone.model.named_modules())
    return all(
        pair.bias is None or getattr(modules[name], "bias", None) is not None
        for name, pair in update.pairs.items()
    )


def _tied(update: LoraUpdate, source: Source) -> bool:
    """Whether it changes a weight that the embeddings share."""
    model = source.hosted.backbone.model
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    touched = {module for name, module in model.named_modules() if name in update.pairs}
    return head.weight is table.weight and bool(touched & {head, table})


def _use(source: Source, update: LoraUpdate, base: str) -> str:
    """How the folder is loaded and merged, for its card."""
    auto = source.loader
    loading = f"""```python
from peft import PeftModel
from transformers import {auto}, AutoTokenizer

base = {auto}.from_pretrained("{base}")
model = PeftModel.from_pretrained(base, "DIR")
tokenizer = AutoTokenizer.from_pretrained("{base}")
```"""
    if not _merges(update, source):
        return (
            f"{loading}\n\nIt adds a constant to the logits, for which the head has no bias: it "
            "works beside the model, and cannot be merged into it. The same student without a "
            "constant can (`intercept=False`)."
        )
    if not _tied(update, source):
        return f"{loading}\n\n`model.merge_and_unload()` writes it into the weights."
    return f"""{loading}

The head shares its weight with the embeddings. Before it is merged, give it a copy:

```python
from torch.nn import Parameter

base.get_output_embeddings().weight = Parameter(base.get_output_embeddings().weight.clone())
base.config.tie_word_embeddings = False
merged = PeftModel.from_pretrained(base, "DIR").merge_and_unload()
```"""
