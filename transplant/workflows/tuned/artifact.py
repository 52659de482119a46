"""A student as an artifact: the name that it takes, and what is written of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transplant.calibration.students.spec import kinds_of
from transplant.workflows.artifacts import HOSTED, store_hosted

if TYPE_CHECKING:
    from transplant.calibration.students.learned import Learned
    from transplant.library import Manifest
    from transplant.surgery.lora.update import LoraUpdate
    from transplant.workflows.tuned.directions import Directions
    from transplant.workflows.tuned.move import TunedMove


def claim_student(move: TunedMove, *, replace: bool) -> None:
    """Takes the name of what will be stored, before the work.

    Raises:
        ExistsError: something that would be found by the same name is there.
    """
    library, kinds = move.work.library, kinds_of(move.candidates)
    others = tuple(kind for kind in HOSTED if kind not in kinds)
    library.check_free(others, move.moved_name, move.to, None)
    for kind in kinds:
        if kind == "module":
            for d_abi in move.module_widths:
                both = ("module", "interface")
                library.claim(both, move.moved_name, move.to, d_abi, replace=replace)
        else:
            library.claim((kind,), move.moved_name, move.to, None, replace=replace)


def store_student(
    move: TunedMove, learned: Learned, made: Mapping[str, Any], results: Mapping[str, Any],
    *, replace: bool,
) -> Manifest:  # fmt: skip
    """Writes a student.

    Args:
        move: the move.
        learned: the student.
        made: how it was made.
        results: what was measured.
        replace: whether what has that name may go.
    """
    from transplant.modules.linear import LinearCorrection
    from transplant.surgery.lora.update import LoraUpdate

    correction, made = learned.correction, {**made, **(learned.facts or {})}
    if isinstance(correction, LinearCorrection):
        stored = move.work.library.store(
            "linear", move.moved_name, correction.stored(), backbone=move.target,
            domain=move.domain, taps=correction.taps, made=made, results=results,
            parents=move.parents(), replace=replace,
        ).manifest  # fmt: skip
    elif isinstance(correction, LoraUpdate) and move.directions is not None:
        stored = _store_inside(move, move.directions, correction, made, results, replace=replace)
    elif isinstance(correction, LoraUpdate):
        stored = move.work.library.store(
            "adapter", move.moved_name, correction.as_tensors(), backbone=move.target,
            domain=move.domain, made={**made, "scales": correction.scales()}, results=results,
            parents=move.parents(), replace=replace,
        ).manifest  # fmt: skip
    else:
        stored = store_hosted(
            move.work, move.moved_name, move.domain, move.target, correction,
            made=made, results=dict(results), parents=move.parents(), replace=replace,
        )  # fmt: skip
    if replace:
        _remove_other(move, stored.kind)
    return stored


def _store_inside(
    move: TunedMove, directions: Directions, update: LoraUpdate, made: Mapping[str, Any],
    results: Mapping[str, Any], *, replace: bool,
) -> Manifest:  # fmt: skip
    """Writes an adapter inside a basis: its directions and C."""
    from transplant.calibration.students.basis import adapter_from
    from transplant.workflows.basis.stored import KIND

    adapted = {**made["learned"], "basis": move.basis}
    record = dataclasses.replace(directions.record, adapted=adapted)
    return move.work.library.store(
        KIND, move.moved_name, adapter_from(update, directions.subspaces).as_tensors(),
        backbone=move.target, domain=move.domain, made={**made, KIND: record.as_dict()},
        results=results, parents=move.parents(), replace=replace,
    ).manifest  # fmt: skip


def _remove_other(move: TunedMove, kind: str) -> None:
    """Removes what was replaced by a student of another kind: a name leads to one thing."""
    library, others = move.work.library, ("module", "interface", "linear", "adapter", "basis")
    own = ("module", "interface") if kind == "module" else (kind,)
    for other in others:
        if other in kinds_with_interface(move.candidates) and other not in own:
            entry = library.get(other, move.moved_name, move.to, None)
            if entry is not None:
                library.remove(entry)


def kinds_with_interface(students: Sequence[str]) -> tuple[str, ...]:
    """The kinds that one of some students may be stored as, a module's interface among them."""
    kinds = kinds_of(students)
    return (*kinds, "interface") if "module" in kinds else kinds
