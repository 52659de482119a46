"""Systems that stand beside a student: controls without its donor, students of other domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transplant.calibration.students.spec import STUDENTS

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import Likelihood, System
    from transplant.modules.correction import Correction
    from transplant.modules.linear import LinearCorrection
    from transplant.progress import Progress
    from transplant.surgery.lora.update import LoraUpdate
    from transplant.text.windows import Window
    from transplant.workflows.tuned.move import TunedMove

OTHER, COPY = "other_domain_", "direct_copy"


def at_work(target: Backbone, student: Correction | LinearCorrection | LoraUpdate) -> System:
    """A student as it is scored: a correction as it is, a LoRA inside the target."""
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.surgery.lora.update import LoraUpdate

    return LoraModel("lora", target, student) if isinstance(student, LoraUpdate) else student


def controls_of(move: TunedMove, progress: Progress) -> dict[str, System]:
    """The donor-free controls of a student, by the names that they are reported under.

    log p_donor - log p_target without the tuned copy (`donor_alone`) is one of them: it is none of
    what that copy has learned.
    """
    from transplant.calibration.students.controls import student_controls
    from transplant.calibration.students.lora_controls import lora_controls
    from transplant.surgery.lora.update import LoraUpdate

    lesson, linear, learned = move.lesson, move.linear, move.learned
    found: dict[str, System] = {}
    if isinstance(learned.correction, LoraUpdate):
        with move.work.reporter.progress("controls that are LoRAs") as teaching:
            more = lora_controls(lesson, linear, learned, progress=teaching)
        found |= {name: at_work(move.target, one) for name, one in more.items()}
    return {**student_controls(lesson, linear, progress=progress), **found}


def copied_over(move: TunedMove) -> dict[str, System]:
    """What no fit has touched, where the shapes allow it.

    `direct_copy`: the pairs of a LoRA, or the interface and the module of a hosted one, as they are
    in the target: what one tries on a new version of a base.
    """
    from transplant.calibration.students.copy import shapes_of
    from transplant.modules.panel import Panel
    from transplant.surgery.lora.hosted import LoraModel

    model, target = move.tuned.model, move.target
    if isinstance(move.donor, Panel):
        return {}
    if isinstance(model, LoraModel):
        ours, theirs = (
            shapes_of(one.model, model.update.touched) for one in (model.backbone, target)
        )
        return {COPY: LoraModel(COPY, target, model.update)} if ours == theirs else {}
    correction = model.correction
    interface = getattr(correction, "interface", None)
    if correction is None or interface is None or interface.d_model != target.d_model:
        return {}
    return {COPY: correction} if max(interface.taps) <= target.n_layers else {}


def score_added(move: TunedMove, windows: Sequence[Window]) -> dict[str, Likelihood]:
    """Of a full fine-tune `direct_copy`: its change of weights, whole, added to the target's.

    Nothing where names or shapes of weights differ.
    """
    from transplant.evaluation.likelihood import score_documents
    from transplant.modules.panel import Panel
    from transplant.surgery.task_vector import added_to, same_weights

    if isinstance(move.donor, Panel) or move.tuned.kind != "model":
        return {}
    base, tuned, target = move.donor.pair.base, move.tuned.model.backbone, move.target
    if not same_weights(base, tuned, target):
        return {}
    return score_documents(added_to(base, tuned, target), windows, {COPY: None})


def other_domains(move: TunedMove) -> dict[str, System]:
    """Students on the target, of whatever kind, that learned from donors of other domains."""
    from transplant.loading.hosted import host
    from transplant.surgery.lora.hosted import LoraModel

    library = move.work.library
    found: dict[str, System] = {}
    for kind in dict.fromkeys(one.kind for one in STUDENTS.values()):
        for entry in library.choices(kind, move.to):
            manifest = entry.manifest
            if "student" in manifest.made and manifest.domain not in (None, move.domain):
                model = host(move.target, manifest.name, library, manifest.d_abi)
                own = model if isinstance(model, LoraModel) else model.corrector
                found[OTHER + manifest.name] = own
    return found
