"""The evidence of a move of a fine-tune as a table."""

from __future__ import annotations

from typing import Any

from transplant.calibration.students.spec import WHY_SLOW
from transplant.tables.ceiling import add_ceiling
from transplant.tables.moved_change import add_moved_change
from transplant.tables.systems import NOTES
from transplant.tables.table import Table
from transplant.tables.transfer import add_share, notes_of, systems_table
from transplant.tables.words import call, faint

OWN = {
    "direct_copy": "what was tuned, as it is",
    "equal_norm": "donor-free: the donor's change under a random rotation",
    "shuffled_pairs": "donor-free: pairs that do not belong together",
    "donor_alone": "donor-free: log ratio of the base, without what it learned",
    "shuffled_lora": "donor-free: the same LoRA, from pairs that do not belong together",
    "shuffled_module": "donor-free: the same module, from pairs that do not belong together",
    "untaught_module": "before it is taught: a random module, its output solved for",
    "untrained_lora": "donor-free: random pairs B A, each as large as the student's",
}


def tuned_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    others = {name: "a student of another domain" for name in report["ppl"] if name not in NOTES}
    notes = {**others, **NOTES, **OWN, "candidate": f"the student {report['student']}"}
    if report.get("native_model", {}).get("kind") == "adapter":
        notes["native"] = f"the LoRA {report['native_model']['name']}: the ceiling"
    shown = systems_table(report["tuned"], report, notes)
    add_share(shown, report, "donor", report["best_donor_free"])
    if report["best_module_free"] is not None:
        add_share(shown, report, "module", report["best_module_free"])
    for one in report["students"]:
        scored = f"{one['loss']:.4f} nats per token to calibrate on, gain {one['gain']:g}"
        took = f", {one['seconds']:.1f} s" if "seconds" in one else ""
        shown.add(f"student {one['student']}", "", "", "", faint(scored + took))
    for name in report["left_out"]:
        slow = faint(f"not tried: {WHY_SLOW} (", call(f"student={name!r}"), ", or ",
                     call("students"), " to try it beside others)")  # fmt: skip
        shown.add(f"student {name}", "", "", "", slow)
    add_moved_change(shown, report)
    shown.note(*notes_of(report))
    add_ceiling(shown, report)
    return shown
