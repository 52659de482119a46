"""Report of a paste, by the bytes that were read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transplant.backbones.identity import tensors_sha256
from transplant.errors import CorruptError
from transplant.files.safetensors import TensorRecord
from transplant.paste.core import module_prefix, open_core
from transplant.paste.plan import PastePlan, PlannedModule
from transplant.paste.stream import Moved, hash_from_disk


@dataclass(frozen=True, kw_only=True)
class PastedTensor:
    """One tensor on both sides."""

    name: str
    """Its name within the module."""
    shape: tuple[int, ...]
    """Its dimensions."""
    dtype: str
    """The header's word for it."""
    sha256_source: str
    """Hash of the source's bytes."""
    sha256_target: str
    """Hash of the bytes read back from the result."""


@dataclass(frozen=True, kw_only=True)
class PastedModule:
    """One domain module on both sides."""

    name: str
    """Its name."""
    form: str
    """`lite` or `full`."""
    tensors: tuple[PastedTensor, ...]
    """Every one of its tensors."""

    @property
    def sha256_source(self) -> str:
        """Its identity in the source."""
        return tensors_sha256((t.name, t.dtype, t.shape, t.sha256_source) for t in self.tensors)

    @property
    def sha256_target(self) -> str:
        """Its identity in the result."""
        return tensors_sha256((t.name, t.dtype, t.shape, t.sha256_target) for t in self.tensors)


@dataclass(frozen=True, kw_only=True)
class PasteReport:
    """A paste that was done."""

    out: Path
    """The folder that was written."""
    modules: tuple[PastedModule, ...]
    """What was pasted, each tensor's hashes with it."""
    router_tensors: tuple[str, ...]
    """The zero tensors that were added for the target's router."""
    skipped: tuple[str, ...]
    """What of the target's folder was left behind: pickles, folders and unknown kinds of files."""
    bytes_copied: int
    """Bytes of tensors written, the target's included."""
    seconds: float
    """How long it took, from the finished plan to the renamed folder."""

    @property
    def identical(self) -> bool:
        """Whether every tensor read back has the hash of the source's."""
        tensors = [tensor for module in self.modules for tensor in module.tensors]
        return all(tensor.sha256_source == tensor.sha256_target for tensor in tensors)

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        modules = [
            {
                **asdict(module),
                "sha256_source": module.sha256_source,
                "sha256_target": module.sha256_target,
            }
            for module in self.modules
        ]
        fields = {**asdict(self), "out": str(self.out), "modules": modules}
        return {**fields, "identical": self.identical}


def read_tensors(folder: Path, moved: Moved = lambda _: None) -> dict[str, TensorRecord]:
    """Shape, dtype and hash of every tensor in a folder, from its own bytes.

    Args:
        folder: where.
        moved: is told of the bytes that were read.
    """
    return {
        name: TensorRecord(shape=span.shape, dtype=span.dtype, sha256=hash_from_disk(span, moved))
        for name, span in open_core(folder).tensors.items()
    }


def read_back(
    plan: PastePlan,
    folder: Path,
    read: Mapping[str, TensorRecord] | None = None,
    moved: Moved = lambda _: None,
) -> tuple[PastedModule, ...]:
    """Hash the pasted modules in a folder anew, by its own headers and from its own bytes.

    Args:
        plan: what was pasted.
        folder: where.
        read: what `read_tensors` gave; None to read the modules now.
        moved: is told of the bytes that were read.

    Raises:
        CorruptError: a broken folder, or a tensor that is not there in that shape and dtype.
    """
    spans = open_core(folder).tensors

    def tensor_of(module: PlannedModule, name: str) -> PastedTensor:
        planned = next(t for t in module.tensors if t.name == name)
        full = module_prefix(module.name) + name
        span = spans.get(full)
        wanted = (planned.span.dtype, planned.span.shape)
        if span is None or (span.dtype, span.shape) != wanted:
            found = (span.dtype, span.shape) if span else "nothing"
            raise CorruptError(
                f"{folder}: {name} of module {module.name}", expected=wanted, found=found
            )
        return PastedTensor(
            name=name,
            shape=span.shape,
            dtype=span.dtype,
            sha256_source=planned.sha256,
            sha256_target=read[full].sha256 if read else hash_from_disk(span, moved),
        )

    return tuple(
        PastedModule(
            name=module.name,
            form=module.form,
            tensors=tuple(tensor_of(module, tensor.name) for tensor in module.tensors),
        )
        for module in plan.modules
    )
