"""The ceiling of a move of a fine-tune: a module, or a LoRA, that was trained on the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from transplant.errors import InputError
from transplant.training.config import TrainConfig
from transplant.workflows.cores.add_module import refuse_inside
from transplant.workflows.move.native import (
    COST,
    EVAL_TOKENS,
    LEFT_OUT,
    TRAINED,
    name_of_native,
    no_ceiling,
)
from transplant.workflows.train.module import TrainJob, run_train_job

if TYPE_CHECKING:
    from transplant.evaluation.likelihood import System
    from transplant.library import Manifest
    from transplant.workflows.tuned.move import TunedMove


@dataclass(frozen=True)
class Native:
    """The ceiling at work on the target, and what it is."""

    system: System
    name: str
    """As `law@ref-llama`."""
    kind: str
    """`module`, or `adapter`: a LoRA."""

    def as_dict(self) -> dict[str, str]:
        """For a report."""
        return {"name": self.name, "kind": self.kind}


def ceiling(move: TunedMove, name: str | None) -> Native | None:
    """The native; a module trained by the default recipe where none is named and none is there.

    None where it is left out. Of a LoRA nothing is known of its text: whoever names one says that
    it was trained on the domain, and not on what is judged on.

    Args:
        move: the move.
        name: of a module or an adapter on the target, as `law` or `law@ref-llama`; None or `train`
            for the domain's module, `none` for no ceiling.

    Raises:
        InputError: what has that name is on another backbone, was moved there, or was trained on
            other text.
    """
    if name == LEFT_OUT:
        return None
    name = None if name == TRAINED else name
    native = name_of_native(move.domain, move.moved_name) if name is None else _own_name(move, name)
    refuse_inside(move.target, native)
    if native == move.moved_name:
        raise InputError(
            f"{native} would name both what is moved and its ceiling", hint="another `name`"
        )
    if name is not None and (adapter := _adapter(move, name)) is not None:
        return _native_lora(move, native, adapter)
    return _native_module(move, native, named=name is not None)


def _native_module(move: TunedMove, native: str, *, named: bool) -> Native:
    from transplant.loading.hosted import host

    library = move.work.library
    look = library.find if named else library.get
    entry = look("module", native, move.to)
    if entry is None:
        move.work.reporter.note(f"no native {native} on {move.to} yet: training it, {COST}")
        config = TrainConfig(seed=move.work.seed)
        job = TrainJob(move.to, move.domain, move.domain_source, native, config, EVAL_TOKENS)
        with move.step("train_native"):
            run_train_job(move.work, job)
    else:
        found = entry.manifest
        trained_here = not found.parents
        if not trained_here or found.made.get("split") != move.domain_text.fingerprint:
            raise no_ceiling(
                move, f"{native}@{move.to}",
                "other text" if trained_here else "a module that was moved there",
            )  # fmt: skip
    correction = host(move.target, native, library).correction
    assert correction is not None
    return Native(correction, f"{native}@{move.to}", "module")


def _native_lora(move: TunedMove, native: str, manifest: Manifest) -> Native:
    from transplant.loading.hosted import host
    from transplant.surgery.lora.hosted import LoraModel

    if "student" in manifest.made:
        raise no_ceiling(move, f"{native}@{move.to}", "a LoRA that was moved there")
    move.work.reporter.note(
        f"the ceiling is the LoRA {native}@{move.to}: its training text is not recorded, and "
        "held-out documents in it would raise the ceiling"
    )
    model = host(move.target, native, move.work.library)
    assert isinstance(model, LoraModel)
    return Native(model, f"{native}@{move.to}", "adapter")


def _own_name(move: TunedMove, name: str) -> str:
    """The name without the target's.

    Raises:
        InputError: it is on another backbone.
    """
    own, at, backbone = name.partition("@")
    if at and backbone != move.to:
        raise InputError(f"`native={name!r}`", expected=f"one of {move.to}", found=backbone)
    return own


def _adapter(move: TunedMove, name: str) -> Manifest | None:
    """The manifest of an adapter of the target; None where a module has the name, or nothing."""
    native, library = _own_name(move, name), move.work.library
    if library.get("module", native, move.to) is not None:
        return None
    entry = library.get("adapter", native, move.to, None)
    return None if entry is None else entry.manifest
