"""Matching a saved LoRA to a backbone: every key finds its place, and every place its key."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from transplant.backbones.core import CoreBackbone
from transplant.backbones.view import Backbone
from transplant.errors import InputError, ShapeError
from transplant.surgery.lora.folder import LoraFolder
from transplant.surgery.lora.settings import ALL_LINEAR, LoraSettings
from transplant.surgery.lora.update import (
    ADAPTED,
    B_BIAS,
    TABLE_A,
    TABLE_B,
    A,
    B,
    LoraUpdate,
    Pair,
)

SHOWN = 3  # of what does not fit, in a message
PORTABLE = ("domain_modules", "routers")


def match_lora(folder: LoraFolder, backbone: Backbone) -> LoraUpdate:
    """Reads the tensors of a folder as changes of a backbone's modules.

    Raises:
        InputError: keys that fit no place, places without a key, or no pair at all; it lists the
            first few.
        ShapeError: a tensor of another shape than its place, or of another rank than the settings.
    """
    settings, tensors = folder.settings, folder.tensors
    modules = dict(backbone.model.named_modules())
    targets = [*targets_of(settings, backbone, tensors)]
    wanted = {k: s for name in targets for k, s in _pair_keys(settings, name, modules[name])}
    wanted |= _whole_shapes(settings, modules, targets)
    tables = _tables(modules, backbone, tensors.keys() - wanted.keys())
    _check_keys(folder, wanted, tables, backbone)
    _check_shapes(folder, {**wanted, **tables})
    if not targets:
        raise InputError(f"{folder.path} adapts nothing in {backbone.name}", found="no pair")
    whole = {key: tensors[key] for key in _whole_shapes(settings, modules, targets)}
    for name in tables:
        if not torch.equal(tensors[name].float(), backbone.model.get_parameter(name).cpu().float()):
            whole[name] = tensors[name]
    _refuse_portable(folder, backbone, [*targets, *whole])
    return LoraUpdate({name: _pair(settings, name, tensors) for name in targets}, whole)


def targets_of(
    settings: LoraSettings, backbone: Backbone, tensors: Collection[str] = ()
) -> Iterator[str]:
    """The modules that have a pair: as the settings say, or the keys where they do not.

    Args:
        settings: of an adapter.
        backbone: what it adapts.
        tensors: the keys of its tensors, by the names of the backbone's modules.
    """
    head = backbone.model.get_output_embeddings()
    for name, module in backbone.model.named_modules():
        if not isinstance(module, ADAPTED):
            continue
        if settings.targets is None:
            chosen = f"{name}.{A}" in tensors or f"{name}.{TABLE_A}" in tensors
        elif settings.targets == ALL_LINEAR:
            plain = module is not head and not isinstance(module, nn.Embedding)
            chosen = plain and settings.is_target(name)
        else:
            chosen = settings.is_target(name)
        if chosen:
            yield name


def _pair_keys(
    settings: LoraSettings, name: str, module: nn.Module
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The keys of one pair, and their shapes."""
    rank = settings.rank_of(name)
    if isinstance(module, nn.Embedding):
        yield f"{name}.{TABLE_A}", (rank, module.num_embeddings)
        yield f"{name}.{TABLE_B}", (module.embedding_dim, rank)
        return
    weight = module.get_parameter("weight")
    out, into = weight.shape if isinstance(module, nn.Linear) else reversed(weight.shape)
    yield f"{name}.{A}", (rank, into)
    yield f"{name}.{B}", (out, rank)
    if settings.pair_bias:
        yield f"{name}.{B_BIAS}", (out,)


def _whole_shapes(
    settings: LoraSettings, modules: Mapping[str, nn.Module], targets: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """The parameters that were trained whole: of `modules_to_save`, and biases."""
    found: dict[str, tuple[int, ...]] = {}
    for name, module in modules.items():
        for leaf, parameter in module.named_parameters(recurse=False):
            biased = settings.bias == "all" or (settings.bias == "lora_only" and name in targets)
            if settings.is_whole(name) or (biased and leaf == "bias"):
                found[f"{name}.{leaf}"] = tuple(parameter.shape)
    return found


def _tables(
    modules: Mapping[str, nn.Module], backbone: Backbone, keys: set[str]
) -> dict[str, tuple[int, ...]]:
    """Copies of whole embedding tables, which PEFT puts beside pairs on them."""
    head = backbone.model.get_output_embeddings()
    tables = {}
    for name, module in modules.items():
        if isinstance(module, nn.Embedding) or module is head:
            key = f"{name}.weight"
            if key in keys:
                tables[key] = tuple(module.get_parameter("weight").shape)
    return tables


def _check_keys(
    folder: LoraFolder,
    wanted: Mapping[str, object],
    tables: Mapping[str, object],
    backbone: Backbone,
) -> None:
    places = (
        (folder.tensors.keys() - wanted.keys() - tables.keys(), "have no place in"),
        (wanted.keys() - folder.tensors.keys(), "are missing for"),
    )
    for names, fault in places:
        if names:
            trained_on = folder.settings.base
            raise InputError(
                f"{folder.path}: {len(names)} of its keys {fault} {backbone.name}",
                expected="one key for each place that its settings name",
                found=", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else ""),
                hint=f"the backbone that it was trained on ({trained_on or 'not recorded'})",
            )


def _check_shapes(folder: LoraFolder, wanted: Mapping[str, tuple[int, ...]]) -> None:
    wrong = [
        f"{key}: {list(shape)} against {list(folder.tensors[key].shape)}"
        for key, shape in sorted(wanted.items())
        if tuple(folder.tensors[key].shape) != shape
    ]
    if wrong:
        raise ShapeError(
            f"{folder.path}: {len(wrong)} tensors of other shapes, expected against found: "
            + "; ".join(wrong[:SHOWN]),
            hint="the backbone that it was trained on; ranks are those of its rank_pattern",
        )


def _refuse_portable(folder: LoraFolder, backbone: Backbone, names: Sequence[str]) -> None:
    """A core's domain modules keep their bits: that is what moves."""
    if not isinstance(backbone, CoreBackbone):
        return
    inside = [name for name in names if any(word in name.split(".") for word in PORTABLE)]
    if inside:
        raise InputError(
            f"{folder.path} adapts a domain module inside the core {backbone.name}, which keeps "
            "its bits",
            expected="pairs on the core alone",
            found=", ".join(inside[:SHOWN]),
            hint="exclude_modules when it is trained",
        )


def _pair(settings: LoraSettings, name: str, tensors: Mapping[str, Tensor]) -> Pair:
    table = f"{name}.{TABLE_A}" in tensors
    a, b = (TABLE_A, TABLE_B) if table else (A, B)
    bias = tensors.get(f"{name}.{B_BIAS}")
    return Pair(tensors[f"{name}.{a}"], tensors[f"{name}.{b}"], bias, settings.scale_of(name))
