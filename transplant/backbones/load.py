"""Loading a backbone from a folder or a model hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from transplant.backbones.arithmetic import (
    best_device,
    cast,
    choose_dtype,
    has_rounded_buffers,
    multiplies,
    name_of,
    own_of_rank,
    stored_dtype,
)
from transplant.backbones.configuration import hash_config
from transplant.backbones.downloads import commit_of
from transplant.backbones.fingerprint import hash_parameters, hash_tokenizer
from transplant.backbones.hub_ids import is_hub_id, is_out_of_reach
from transplant.backbones.memory import check_folder_fits, check_hub_fits
from transplant.backbones.packed import quantisation
from transplant.backbones.spread import Spread, is_offloaded
from transplant.backbones.stored import Files, load_stored
from transplant.backbones.view import Backbone
from transplant.backbones.views import check_ids, probe, view_of
from transplant.backbones.whole import check_finite
from transplant.dtypes import AUTO, dtype_name
from transplant.errors import InputError, foreign
from transplant.files.plain import expand
from transplant.files.remembered import Checked, Memory

DEVICES = "auto, cpu, cuda, cuda:1 or mps"


def load_backbone(
    name: str | Path,
    *,
    path: str | Path | None = None,
    revision: str | None = None,
    dtype: Any = AUTO,
    torch_dtype: Any = None,
    device: str = "cpu",
    device_map: str | Mapping[str, str | int] | None = None,
    max_memory: Mapping[str | int, str | int] | None = None,
    offload_folder: str | Path | None = None,
    trust_remote_code: bool = False,
    remembered: Path | None = None,
) -> Backbone:
    """Loads a frozen language model and gives the one view of it.

    Every weight comes from the files; `notes` of what is returned says what was odd but harmless.
    Weights that are stored quantised are never cast.

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
        device_map: where the parts of the model go in place of `device`, by way of `accelerate`:
            `auto`, `balanced`, `sequential`, or a device (also `disk`) for each module by name.
        max_memory: what each device may hold, as `{0: "10GiB", "cpu": "30GiB"}`; the rest of a
            model goes to the disk.
        offload_folder: where weights go that are on the disk and not in the model's own files in
            the type that is needed; by default a folder that ends with the model.
        trust_remote_code: run code that comes with the weights. Off unless asked for by name.
        remembered: a file that keeps what was checked, so that a folder that is as it was is not
            checked again (`transplant.files.remembered` says how); None checks always.

    Raises:
        BackboneError: nothing there, files that cannot be read, weights that are missing or do not
            fit the configuration, or are larger than memory; no fast tokenizer, or no view of this
            family.
        NumericalError: a weight that is NaN or infinite.
        InputError: a dtype, a device or a device map that is not to be had.
    """
    wanted, place = dtype_name(dtype, torch_dtype), check_device(device)
    spread = _spread(device_map, max_memory, offload_folder)
    source = str(path or name)
    folder = expand(source)
    memory = Memory(remembered, folder.resolve() if folder.is_dir() else None)
    state = memory.state()
    known = memory.recall(state)
    at_hub = is_hub_id(source)
    offline = at_hub and is_out_of_reach()
    if folder.is_dir() and spread is None:
        check_folder_fits(folder, str(name), wanted, place)
    elif at_hub and spread is None:
        check_hub_fits(source, revision, str(name), wanted, place, offline=offline)
    files = Files(source, revision, trust_remote_code, place, spread, offline)
    model, tokenizer, unexpected = load_stored(files, checked=known is not None)
    checked = known or _checked(str(name), model, tokenizer)  # before the cast: as it is stored
    packed = quantisation(model.config)
    if packed is None:
        model, chosen = _computing_in(files, model, wanted, str(name))
    else:
        model = model if spread else model.to(device=place)
        chosen = stored_dtype(model)
    commit = None if folder.is_dir() else commit_of(source, revision)
    backbone = view_of(str(name), model, tokenizer, revision=commit, **asdict(checked))
    if known is None:
        probe(backbone)
        memory.keep(state, checked)
    backbone.notes.extend(_oddities(str(name), packed, wanted, place, chosen, unexpected))
    if folder.is_dir() and revision is not None:
        backbone.notes.append(f"{name} is in a folder: a hub revision has no use for it")
    return backbone


def _oddities(
    name: str, packed: str | None, wanted: str, place: torch.device, chosen: torch.dtype,
    unexpected: list[str],
) -> Iterator[str]:  # fmt: skip
    """What was odd but harmless about a loaded model, a line each."""
    if packed is not None:
        yield f"{name} is stored quantised ({packed}): its weights are never cast" + (
            "" if wanted == AUTO else f", and {wanted} is not what it computes in"
        )
    elif not multiplies(place, chosen):
        yield f"this {place.type} has no instructions for {name_of(chosen)}: float32 is faster"
    if unexpected:
        names = ", ".join(unexpected[:4])
        yield f"{name} has no place for {len(unexpected)} tensors of its file: {names}"


def _spread(
    device_map: str | Mapping[str, str | int] | None,
    max_memory: Mapping[str | int, str | int] | None,
    offload_folder: str | Path | None,
) -> Spread | None:
    if device_map is not None:
        folder = None if offload_folder is None else Path(offload_folder)
        return Spread(device_map=device_map, max_memory=max_memory, offload_folder=folder)
    for option, given in (("max_memory", max_memory), ("offload_folder", offload_folder)):
        if given:
            raise InputError(f"`{option}` has no use", expected="a `device_map` beside it")
    return None


def _computing_in(files: Files, model: Any, wanted: str, name: str) -> tuple[Any, torch.dtype]:
    """The model where it is to be, in the type it is to compute in, and that type."""
    stored, place = stored_dtype(model), files.place
    if files.spread is not None:
        place = model.get_output_embeddings().weight.device
    chosen = choose_dtype(wanted, stored, place)
    # What is offloaded is cast as it is read; what was computed in 16 bits is computed again.
    if chosen != stored and (files.spread is not None or has_rounded_buffers(model)):
        del model
        model, _, _ = load_stored(files, checked=True, dtype=chosen)
    if files.spread is None:
        with foreign(f"`device` {place} is not to be had here", InputError, expected=DEVICES):
            model = cast(model, chosen).to(device=place)
    if chosen == torch.float16:
        check_finite(model, f"{name} in float16", "bfloat16 or float32, which hold larger numbers")
    return model, chosen


def _checked(name: str, model: Any, tokenizer: Any) -> Checked:
    """The fingerprints of a model whose numbers are finite; the weights are hashed meanwhile.

    What is offloaded is read into the model in turn, so two passes over it must not meet.
    """
    with ThreadPoolExecutor(1) as beside:
        weights = beside.submit(hash_parameters, model)
        if is_offloaded(model):
            weights.result()
        check_finite(model, name)  # named before training finds a loss that is NaN
        check_ids(name, model, tokenizer)
        config_hash, tokenizer_hash = hash_config(model.config), hash_tokenizer(tokenizer)
        return Checked(weights.result(), tokenizer_hash, config_hash)


def check_device(device: str) -> torch.device:
    """A device by its name, found before anything is read: a sum must come back from it.

    Of several processes at one job each has a GPU of its own, where no number is given.

    Raises:
        InputError: it is not to be had.
    """
    with foreign(f"`device={device!r}` is not to be had here", InputError, expected=DEVICES):
        place = own_of_rank(torch.device(best_device() if device == AUTO else device))
        if place.type == "cpu" and place.index:
            raise ValueError(f"there is one cpu, and no cpu:{place.index}")
        torch.ones(2, device=place).sum().cpu()
        return place
