"""Systems that stand beside a student: controls without its donor, students of other domains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import System
    from transplant.modules.correction import Correction
    from transplant.modules.linear import LinearCorrection
    from transplant.progress import Progress
    from transplant.surgery.lora.update import LoraUpdate
    from transplant.workflows.tuned.move import TunedMove

OTHER = "other_domain_"


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


def other_domains(move: TunedMove) -> dict[str, System]:
    """Students on the target that learned from tuned donors of other domains."""
    from transplant.loading.hosted import host

    library = move.work.library
    found: dict[str, System] = {}
    for kind in ("linear", "adapter"):
        for entry in library.choices(kind, move.to):
            manifest = entry.manifest
            if "student" in manifest.made and manifest.domain not in (None, move.domain):
                model = host(move.target, manifest.name, library)
                found[OTHER + manifest.name] = model.corrector if kind == "linear" else model
    return found
