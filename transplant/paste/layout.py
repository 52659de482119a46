"""The weight files of a pasted core: which tensor goes where, and from which bytes it comes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from transplant.files.header import BITS, Header, TensorSpan, size_of
from transplant.paste.core import SINGLE, Core, module_prefix
from transplant.paste.plan import PastePlan


@dataclass(frozen=True)
class Placed:
    """One tensor of a file to write."""

    name: str
    """Its full name."""
    dtype: str
    """The header's word for it."""
    shape: tuple[int, ...]
    """Its dimensions."""
    origin: TensorSpan | None
    """Where its bytes come from; None for zeros."""
    sha256: str | None = None
    """What they must hash to, where the plan or a manifest says so."""

    @property
    def size(self) -> int:
        """Its bytes."""
        return size_of(self.dtype, self.shape)


@dataclass(frozen=True)
class OutFile:
    """One weight file to write."""

    name: str
    """Its file name."""
    metadata: dict[str, str]
    """Its `__metadata__`."""
    tensors: tuple[Placed, ...]
    """What it holds, in the order of the bytes."""
    unchanged: bool = False
    """Whether it is the target's file of that name, byte for byte."""


def lay_out(plan: PastePlan, *, one_file: bool = False) -> tuple[OutFile, ...]:
    """The files of the result: the target's, with the modules in its one file or in a new shard.

    The target's bytes keep their order, so that whole stretches of a file can be copied.

    Args:
        plan: what `plan_paste` returned.
        one_file: whether the shards of a target become one file.
    """
    target, added = plan.target, _added(plan)
    if target.index is None or one_file:
        tensors = [tensor for file in target.files.values() for tensor in _kept(file, plan)]
        # As the format's own writer has it, so that every tensor is aligned; the sort is stable.
        tensors = sorted([*tensors, *added], key=lambda tensor: -BITS[tensor.dtype])
        metadata = next(iter(target.files.values())).metadata
        return (OutFile(SINGLE, metadata, tuple(tensors)),)
    files: list[OutFile] = []
    for name, header in target.files.items():
        if kept := _kept(header, plan):
            unchanged = len(kept) == len(header.tensors) and plan.promised is None
            files.append(OutFile(name, header.metadata, kept, unchanged))
    metadata = next(iter(target.files.values())).metadata
    return (*files, OutFile(_new_name(target), metadata, added))


def index_of(plan: PastePlan, files: tuple[OutFile, ...]) -> dict[str, Any] | None:
    """The index of the result; None where it is one file."""
    if plan.target.index is None or [file.name for file in files] == [SINGLE]:
        return None
    places = {tensor.name: file.name for file in files for tensor in file.tensors}
    old = plan.target.index.get("metadata")
    metadata = dict(old) if isinstance(old, dict) else {}
    tensors = [tensor for file in files for tensor in file.tensors]
    metadata["total_size"] = sum(tensor.size for tensor in tensors)
    if "total_parameters" in metadata:
        metadata["total_parameters"] = sum(math.prod(tensor.shape) for tensor in tensors)
    return {**plan.target.index, "metadata": metadata, "weight_map": dict(sorted(places.items()))}


def config_of(plan: PastePlan) -> dict[str, Any]:
    """The target's configuration with the pasted modules in it."""
    entries = {module.name: module.entry for module in plan.modules}
    return {**plan.target.config, "domain_modules": {**plan.target.modules, **entries}}


def _kept(header: Header, plan: PastePlan) -> tuple[Placed, ...]:
    """The tensors of a target's file, less those of the modules that are replaced."""
    gone = tuple(module_prefix(module.name) for module in plan.modules)
    promised = plan.promised or {}
    hashes = {name: record.sha256 for name, record in promised.items()}
    return tuple(
        Placed(name, span.dtype, span.shape, span, hashes.get(name))
        for name, span in header.tensors.items()
        if not name.startswith(gone)
    )


def _added(plan: PastePlan) -> tuple[Placed, ...]:
    """The modules' tensors, then the zeros for the target's router."""
    pasted = [
        Placed(module_prefix(m.name) + t.name, t.span.dtype, t.span.shape, t.span, t.sha256)
        for m in plan.modules
        for t in m.tensors
    ]
    zeros = [
        Placed(name, plan.dtype, shape, None)
        for m in plan.modules
        for name, shape in sorted(m.router.items())
    ]
    return (*pasted, *zeros)


def _new_name(target: Core) -> str:
    number = 1
    while (name := f"model-pasted-{number:05d}.safetensors") in target.files:
        number += 1
    return name
