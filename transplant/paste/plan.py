"""Plan of a paste, with everything checked before a byte is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transplant.backbones.identity import tensors_sha256
from transplant.errors import NumericalError, ShapeError, StorageError
from transplant.files.header import TensorSpan
from transplant.paste.checks import (
    check_complete,
    check_dtype,
    check_form,
    check_free,
    choose,
    float_dtype,
    is_taken,
)
from transplant.paste.core import Core, module_prefix, open_core, router_prefix
from transplant.paste.promised import Promised, check_bytes, check_headers
from transplant.paste.stream import examine


@dataclass(frozen=True)
class PlannedTensor:
    """One tensor of a domain module, as the source holds it."""

    name: str
    """Its name within the module."""
    span: TensorSpan
    """Where its bytes lie."""
    sha256: str
    """Hash of them when the plan was made."""


@dataclass(frozen=True)
class PlannedModule:
    """One domain module to paste."""

    name: str
    """Its name in the source and in the target."""
    entry: dict[str, Any]
    """Its entry in the configuration of the result."""
    tensors: tuple[PlannedTensor, ...]
    """Every one of its tensors, sorted by name."""
    replaces: bool
    """Whether the target has a module of that name, which goes."""
    router: dict[str, tuple[int, ...]]
    """The full names and shapes of the zero tensors that the target's router takes for it."""

    @property
    def form(self) -> str:
        """`lite` or `full`."""
        return self.entry["form"]

    @property
    def sha256(self) -> str:
        """Its identity, which stays the same when it moves."""
        return tensors_sha256((t.name, t.span.dtype, t.span.shape, t.sha256) for t in self.tensors)

    @property
    def size(self) -> int:
        """Bytes of its tensors, the router's aside."""
        return sum(tensor.span.size for tensor in self.tensors)


@dataclass(frozen=True)
class PastePlan:
    """A paste that can be done."""

    source: Core
    """Where the modules come from."""
    target: Core
    """The core that they are added to; it is only read."""
    modules: tuple[PlannedModule, ...]
    """What is pasted, in the order asked for."""
    dtype: str
    """The dtype of the modules and of the target, in the header's word."""
    promised: Promised | None = None
    """What the target's manifest says of its tensors: they are held against it as they are copied;
    None for a target without a manifest."""

    def as_dict(self) -> dict[str, Any]:
        """The summary of a dry run: modules, their tensors and the bytes to add."""
        return {
            "source": str(self.source.path),
            "target": str(self.target.path),
            "d_abi": self.target.d_abi,
            "dtype": self.dtype,
            "tensors": sum(len(module.tensors) for module in self.modules),
            "bytes": sum(module.size for module in self.modules),
            "modules": {
                module.name: {
                    "form": module.form,
                    "sha256": module.sha256,
                    "tensors": len(module.tensors),
                    "bytes": module.size,
                    "replaces": module.replaces,
                    "router_tensors": sorted(module.router),
                }
                for module in self.modules
            },
        }


def plan_paste(
    source: Path,
    target: Path,
    names: Sequence[str] | None = None,
    *,
    replace: bool = False,
    source_promised: Promised | None = None,
    target_promised: Promised | None = None,
) -> PastePlan:
    """Check everything about a paste but the target's bytes; nothing is written.

    Args:
        source: the folder of the core that has the modules.
        target: the folder of the core that they are for.
        names: the modules; all of the source's where None.
        replace: whether a module of the same name in the target may go.
        source_promised: what a manifest says of the source's tensors; None where there is none.
        target_promised: the same of the target's, whose bytes `paste` checks as it copies them.

    Raises:
        NotFoundError: no core there, or no module of that name.
        InputError: a folder, a form or a name that cannot be used.
        ExistsError: the target has a module of that name, and `replace` is not set.
        ShapeError: another d_abi or dtype, or an incomplete set of tensors.
        NumericalError: NaN or infinity in a module.
        CorruptError: a broken file, or one that is not as its manifest says.
        StorageError: an unreadable one.
    """
    try:
        donor, host = open_core(source), open_core(target)
        check_headers(donor, source_promised)
        check_headers(host, target_promised)
        if donor.d_abi != host.d_abi:
            raise ShapeError(
                f"{source}: d_abi",
                expected=f"{host.d_abi}, as {target} has",
                found=donor.d_abi,
                hint="`cores()`, for one of the same d_abi",
            )
        chosen = choose(donor, names)
        dtype = float_dtype(host)
        for name in chosen:
            check_free(host, name, replace)
            check_form(donor, name)
            check_dtype(donor, name, dtype)
            check_complete(donor, name)
        modules = tuple(_examined(donor, host, name, source_promised) for name in chosen)
    except OSError as error:
        raise StorageError(f"cannot read {error.filename or source}: {error}") from error
    return PastePlan(donor, host, modules, dtype, target_promised)


def _examined(source: Core, target: Core, name: str, promised: Promised | None) -> PlannedModule:
    """A checked module with its hashes: reads every byte of it once."""
    tensors: list[PlannedTensor] = []
    for tensor, span in source.module_tensors(name).items():
        sha256, bad = examine(span)
        check_bytes(module_prefix(name) + tensor, span.file, sha256, promised)
        if bad:
            raise NumericalError(
                f"{span.file}: {tensor} of module {name}",
                expected="finite numbers",
                found=f"{bad} that are not",
                hint="train the module again, at a smaller learning rate",
            )
        tensors.append(PlannedTensor(tensor, span, sha256))
    rows: dict[str, tuple[int, ...]] = {}
    if target.router:
        prefix = router_prefix(name)
        rows = {prefix + "weight": (1, target.d_abi), prefix + "bias": (1,)}
    rows = {row: shape for row, shape in rows.items() if row not in target.tensors}
    entry = {"form": source.modules[name]["form"], "active": True, "weight": 1.0}
    return PlannedModule(name, entry, tuple(tensors), is_taken(target, name), rows)
