"""Imported adapters in the registry: attached to their backbone, or as a new one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, NumericalError

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.backbones.view import Backbone
    from transplant.modules.hosted import HostedModel
    from transplant.surgery.lora.folder import LoraFolder
    from transplant.surgery.lora.update import LoraUpdate
    from transplant.workflows.work import Work

PROBE = 32  # tokens that both sides of a comparison read


def import_lora(
    work: Work, source: Path, to: str, *, name: str | None = None, merge: bool = False,
    replace: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Stores a LoRA that PEFT has saved, as an adapter of a backbone or merged into a new one.

    Args:
        work: library, device, seed and reporter.
        source: the folder that PEFT's save_pretrained wrote.
        to: the backbone that it was trained on.
        name: of the adapter, or of the new backbone; None for the folder's.
        merge: whether a new backbone with the adapter in its weights is stored.
        replace: whether an adapter of that name may go.

    Raises:
        InputError: a folder that is none, or a backbone that is to be replaced.
        ExistsError: the name is taken.
        ShapeError: it does not fit the backbone.
    """
    from transplant.surgery.lora.folder import read_lora
    from transplant.surgery.lora.match import match_lora
    from transplant.workflows.cores.folders import claim_core, weights_bytes

    stored = name or re.sub(r"[^A-Za-z0-9._-]+", "-", source.resolve().name).lstrip("._-")
    if merge and replace:
        raise InputError("`replace`: a backbone is never replaced", hint="`rm('NAME')`, or `name`")
    if merge:
        claim_core(work, stored, weights_bytes(work, to))
    else:
        work.library.check_free(("module", "injection", "linear", "basis"), stored, to, None)
        work.library.claim(("adapter",), stored, to, None, replace=replace)
    folder = read_lora(source)
    backbone = work.backbone(to)
    update = match_lora(folder, backbone)
    warn_of_base(work, backbone, folder)
    with backbone.frozen():
        store = store_merged if merge else store_attached
        return store(work, stored, backbone, folder, update, replace=replace)


def warn_of_base(work: Work, backbone: Backbone, folder: LoraFolder) -> None:
    """Warns where an adapter was trained on a backbone of another name or revision.

    PEFT records what its maker called the backbone; of its weights it records nothing. Names are
    compared by their last part, so that a folder and a hub id of one model agree.
    """
    base, revision = folder.settings.base, folder.settings.revision
    if not base:
        return
    names = {backbone.name, str(getattr(backbone.model.config, "_name_or_path", ""))}
    revisions = {backbone.revision}
    if work.library.holds_backbone(backbone.name):
        added = work.library.find("backbone", backbone.name).manifest.made.get("added") or {}
        names |= {str(added[key]) for key in ("from", "path", "hub") if added.get(key)}
        revisions.add(added.get("revision"))
    known = {last_part(name) for name in names}
    revisions -= {None}
    if last_part(base) not in known:
        found = base
    elif revision and revisions and revision not in revisions:
        found = f"{base}, revision {revision}"
    else:
        return
    work.reporter.warn(
        f"{folder.path} was trained on {found}; {backbone.name} may have other weights of the same "
        "shapes, and then the adapter means nothing there"
    )


def last_part(name: str) -> str:
    """The last part of a path or hub id, as names are compared."""
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower()
    return re.sub(r"[^a-z0-9]+", "-", last.removesuffix(".gguf"))


def store_attached(
    work: Work, name: str, backbone: Backbone, folder: LoraFolder, update: LoraUpdate,
    *, replace: bool,
) -> dict[str, Any]:  # fmt: skip
    """Writes an adapter of a backbone and reports what it changes."""
    from transplant.surgery.lora.hosted import LoraModel

    model = LoraModel(f"{name}@{backbone.name}", backbone, update)
    raw = _probe_of(backbone)
    logits = {"largest_change": off(_changed(model, folder), raw)}
    made = work.made(scales=update.scales(), lora=_source(folder))
    entry = work.library.store(
        "adapter", name, update.as_tensors(), backbone=backbone, made=made,
        results={"logits": logits}, parents={"lora_file": folder.weights_sha256}, replace=replace,
    )  # fmt: skip
    sha256 = entry.manifest.sha256
    return _report(entry.hosted.removesuffix("/d0"), backbone, folder, update) | {
        "merged": False, "logits": logits, "sha256": sha256, "path": str(entry.path),
    }  # fmt: skip


def store_merged(
    work: Work, name: str, backbone: Backbone, folder: LoraFolder, update: LoraUpdate,
    *, replace: bool,  # noqa: ARG001
) -> dict[str, Any]:  # fmt: skip
    """Writes a backbone with the adapter in its weights, compared with the attached one."""
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.surgery.lora.merge import merged
    from transplant.workflows.vocabulary import store_backbone

    made = merged(name, backbone, update)
    attached = _changed(LoraModel(f"{name}@{backbone.name}", backbone, update), folder)
    alone = _probe_of(made)
    logits = {
        "largest_change": off(alone, _probe_of(backbone)),
        "merged_against_attached": off(alone, attached),
    }
    facts = work.made(lora=_source(folder), ranks=_ranks(update), scales=update.scales())
    parents = {"body": backbone.weights_sha256, "lora_file": folder.weights_sha256}
    entry = store_backbone(work, made, facts, results={"logits": logits}, parents=parents)
    return _report(name, backbone, folder, update) | {
        "merged": True, "logits": logits, "sha256": made.weights_sha256, "path": str(entry.path),
    }  # fmt: skip


def off(a: Tensor, b: Tensor) -> float:
    """The largest difference of two sets of logits."""
    return float((a - b).abs().max())


def _changed(model: HostedModel, folder: LoraFolder) -> Tensor:
    """The probe of a model with an adapter.

    Raises:
        NumericalError: it holds NaN or infinity.
    """
    found = _probe(model)
    if not found.isfinite().all():
        raise NumericalError(
            f"{folder.path}: logits of {model.backbone.name} with it", expected="finite numbers",
            found="NaN or infinity", hint="the backbone that it was trained on, or "
            "`dtype='float32'` where that has more range",
        )  # fmt: skip
    return found


def _probe(model: HostedModel) -> Tensor:
    import torch

    limit = model.backbone.vocab_size
    ids = torch.arange(PROBE, device=model.backbone.device).remainder(limit)[None]
    with torch.no_grad():
        return model(input_ids=ids).logits.float()


def _probe_of(backbone: Backbone) -> Tensor:
    from transplant.modules.hosted import HostedModel

    return _probe(HostedModel(backbone.name, backbone))


def _source(folder: LoraFolder) -> dict[str, Any]:
    """Where an adapter comes from: a folder may move, its bytes do not change."""
    return {
        "folder": str(folder.path),
        "config_sha256": folder.config_sha256,
        "weights_sha256": folder.weights_sha256,
        "trained_on": folder.settings.base,
    }


def _ranks(update: LoraUpdate) -> list[int]:
    return sorted({len(pair.a) for pair in update.pairs.values()})


def _report(
    name: str, backbone: Backbone, folder: LoraFolder, update: LoraUpdate
) -> dict[str, Any]:
    return {
        "name": name,
        "backbone": backbone.name,
        "pairs": len(update.pairs),
        "modules": sorted(update.pairs),
        "parameters": sum(tensor.numel() for tensor in update.as_tensors().values()),
        "ranks": _ranks(update),
        "scales": sorted(set(update.scales().values())),
        "whole": sorted(update.whole),
        **_source(folder),
    }
