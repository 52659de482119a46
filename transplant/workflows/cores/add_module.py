"""Domain modules inside LayerCake cores: adding one to a core of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.backbones.written import write_model
from transplant.errors import InputError
from transplant.ranks import current
from transplant.workflows.cores.folders import core_folder, promised_tensors, store_core
from transplant.workflows.cores.modules_inside import module_records
from transplant.workflows.scratch import scratch_folder
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.core import CoreBackbone
    from transplant.backbones.view import Backbone
    from transplant.library import Entry
    from transplant.modules.domain import DomainModule


def check_core(work: Work, backbone: Backbone, module: str) -> CoreBackbone:
    """The core that a module can be put into under this name.

    Raises:
        InputError: it is no core, not in single precision, or has a module of that name.
        NotFoundError: it is no folder that can be copied.
    """
    from transplant.backbones.core import CoreBackbone
    from transplant.paste.core import open_core

    if not isinstance(backbone, CoreBackbone):
        raise InputError(
            f"`form` puts a module inside a core, and {backbone.name} is none",
            expected="a LayerCake core",
            found=backbone.family,
            hint="without `form` the module comes with an interface of its own",
        )
    refuse_inside(backbone, module)
    stored = open_core(core_folder(work, backbone.name, "backbone"))
    if (dtype := stored.tensors["model.abi_to_core.weight"].dtype) != "F32":
        raise InputError(
            f"a module inside {backbone.name} would be rounded to the core's precision",
            expected="a core stored in float32 (F32)",
            found=dtype,
        )
    return backbone


def refuse_inside(backbone: Backbone, module: str) -> None:
    """Refuses a name that a module inside a core has: two would answer to it."""
    from transplant.backbones.core import CoreBackbone

    if isinstance(backbone, CoreBackbone) and module in backbone.modules:
        raise InputError(
            f"{backbone.name} has a module {module!r} inside",
            hint="another name, or the core without that module",
        )


def store_in_core(
    work: Work,
    core: Backbone,
    stored: str,
    module: str,
    form: str,
    trained: DomainModule,
    record: dict[str, Any],
) -> Entry:
    """Writes a new core: the old one's tensors, bit for bit, and the module's.

    Of several processes the first one writes: of the others no file is read, and none left.

    Args:
        work: library, device, seed and reporter.
        core: the core that the module was trained in.
        stored: the name of the new core.
        module: the module's name.
        form: `lite` or `full`.
        trained: the module.
        record: domain, made, results and d_abi of the module.

    Raises:
        CorruptError: the core's tensors are not those that the library promises.
    """
    import torch

    from transplant.backbones.layercake import LayerCakeForCausalLM
    from transplant.backbones.whole import load_whole
    from transplant.files.safetensors import hash_tensors
    from transplant.modules.tensors import load_tensors
    from transplant.paste.promised import check_bytes

    if not current().first:
        current().wait()  # as the first does in `store_backbone`
        return work.library.find("backbone", stored)
    folder = core_folder(work, core.name, "backbone")
    promised = promised_tensors(work, folder)
    model, _ = load_whole(LayerCakeForCausalLM, str(folder), dtype="auto")
    inside = model.add_domain_module(module, form, 0)
    with torch.no_grad():
        load_tensors(inside, trained.state_dict(), f"module {module}")
    with scratch_folder(work, stored, "storing") as scratch:
        write_model(model, core.tokenizer, scratch)
        made = hash_tensors(scratch / "model.safetensors")
        for file in folder.glob("*.safetensors"):
            for name, before in hash_tensors(file).items():
                if promised is not None and name in promised:
                    check_bytes(name, file, before.sha256, promised)
                assert made[name] == before, f"{name} of the core changed"
        modules = {**module_records(work.library, core.name), module: record}
        return store_core(work, stored, scratch, record["results"], move=True, modules=modules)
