"""From the name of a LayerCake core to its folder, and from a folder into the registry."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.backbones.layercake.sizes import SIZES
from transplant.backbones.written import write_model
from transplant.errors import BackboneError, InputError, NotFoundError, foreign
from transplant.files.plain import expand
from transplant.library import BackboneDescription, KnownBackbone
from transplant.workflows.scratch import scratch_folder
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transplant.library import Entry, TensorRecord
    from transplant.paste.promised import Promised

TOKENIZER_OF = "ref-gpt2"  # an untrained core needs one, and this one is always there


def core_folder(work: Work, name: str, option: str) -> Path:
    """The folder of a core: one on the disk, or one of the registry by its name.

    Raises:
        NotFoundError: there is none; the message names the two ways on.
    """
    if name.startswith((".", "~")) or "/" in name:
        folder = expand(name)
        if not folder.is_dir():
            raise NotFoundError(f"`{option}={name!r}`: no such folder", hint="`cores()`")
        return folder
    stored = work.library.backbone_path(name)
    if stored is None and (Path(name) / "config.json").is_file():
        return Path(name)
    if stored is None:
        ways = f"`train_core(size={name!r})`; for a structural test `init_missing=0` makes one"
        raise NotFoundError(
            f"`{option}={name!r}`: no such core in {work.library.root}",
            expected="its name in the registry, or the folder of a trained core",
            hint=ways if name in SIZES else "`list(kind='backbone')`; `cores()` lists the sizes",
        )
    return stored


def promised_tensors(work: Work, folder: Path) -> Promised | None:
    """What the library promises of the tensors of a core that it holds; None for any other folder.

    Raises:
        CorruptError: its manifest, configuration or tokenizer is not as it was written.
    """
    name, stored = folder.resolve().name, None
    with suppress(InputError):  # a folder's name need not be one that the library takes
        stored = work.library.backbone_path(name) if work.library.holds_backbone(name) else None
    if stored is None or stored.resolve() != folder.resolve():
        return None
    return work.library.find("backbone", name).manifest.tensors


def make_untrained(work: Work, size: str, seed: int, module: str | None) -> Entry:
    """Writes an untrained core of a named size to the registry, with an untrained module if named.

    The module is drawn at random, not left at the identity: what is pasted must be seen to act.
    """
    import torch

    from transplant.backbones.layercake import LayerCakeConfig, build_core
    from transplant.backbones.reference import special_ids

    tokenizer = work.backbone(TOKENIZER_OF).tokenizer
    special = special_ids(tokenizer)
    model = build_core(LayerCakeConfig.from_size(SIZES[size], len(tokenizer), **special), seed)
    if module is not None:
        form = model.add_domain_module(module, "full", seed)
        generator = torch.Generator().manual_seed(seed)
        for projection in form.last_projections():
            spread = projection.in_features**-0.5
            torch.nn.init.normal_(projection.weight, std=spread, generator=generator)
    with scratch_folder(work, size, "storing") as folder:
        write_model(model, tokenizer, folder)
        return store_core(work, size, folder, move=True, trained=False)


def store_core(
    work: Work,
    name: str,
    folder: Path,
    results: dict[str, Any] | None = None,
    *,
    move: bool = False,
    **facts: Any,
) -> Entry:
    """Copies a core's folder into the registry; neither model nor tokenizer is loaded.

    A plain transformer's folder is taken the same way. With `move` its files go: it was made for
    this, on the same disk.
    """
    described = describe_core(work, name, folder, results, **facts)
    return work.library.store_backbone(
        folder, backbone=described.backbone, taps=described.taps, made=described.made,
        results=results, move=move,
    )  # fmt: skip


def describe_core(
    work: Work,
    name: str,
    folder: Path,
    results: dict[str, Any] | None = None,
    tensors: Mapping[str, TensorRecord] | None = None,
    **facts: Any,
) -> BackboneDescription:
    """What is stored of the core in a folder; `tensors` as they were read back from it."""
    from transplant.backbones.configuration import hash_config_of
    from transplant.backbones.identity import tokenizer_sha256

    with foreign(f"the configuration and tokenizer in {folder}", BackboneError):
        config = json.loads((folder / "config.json").read_text())
        core = KnownBackbone(
            name=name,
            family=config["model_type"],
            d_model=config["hidden_size"],
            weights_sha256="",
            tokenizer_sha256=tokenizer_sha256(json.loads((folder / "tokenizer.json").read_text())),
            config_sha256=hash_config_of(folder),
        )
        taps = range(config["num_hidden_layers"] + (2 if config.get("d_abi") else 1))
    return BackboneDescription(
        backbone=core, taps=tuple(taps), made=work.made(**facts), results=results, tensors=tensors
    )


def claim_core(work: Work, name: str, needed: int = 0) -> None:
    """Takes the name of a core before the work is done; `needed` bytes will be written."""
    work.library.claim(("backbone",), name, None, None, needed=needed)


def weights_bytes(work: Work, name: str) -> int:
    """The bytes of a backbone's weights on the disk; 0 where they are not there yet."""
    folder = work.library.backbone_path(name) or expand(name)
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
