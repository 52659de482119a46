"""The evidence of a move of a fine-tune as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.render.ceiling import add_ceiling
from commands.render.moved_change import add_moved_change
from commands.render.transfer import add_share, caption_of, systems_table
from transplant.pictures.systems import NOTES

if TYPE_CHECKING:
    from rich.table import Table

OWN = {
    "equal_norm": "donor-free: the donor's change under a random rotation",
    "shuffled_pairs": "donor-free: pairs that do not belong together",
    "donor_alone": "log ratio of the base, without what it learned",
    "shuffled_lora": "donor-free: the same LoRA, from pairs that do not belong together",
    "untrained_lora": "donor-free: random pairs B A, each as large as the student's",
}


def tuned_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    others = {name: "a student of another domain" for name in report["ppl"] if name not in NOTES}
    notes = {**others, **NOTES, **OWN, "candidate": f"the student {report['student']}"}
    shown = systems_table(report["tuned"], report, notes)
    add_share(shown, report, "donor", report["best_donor_free"])
    for one in report["students"]:
        shown.add_row(
            f"student {one['student']}", "", "", "",
            f"[dim]{one['loss']:.4f} nats per token to calibrate on, gain {one['gain']:g}[/dim]",
        )  # fmt: skip
    for name in report["left_out"]:
        shown.add_row(
            f"student {name}", "", "", "", f"[dim]not tried: slow here (--student {name})[/dim]"
        )
    add_moved_change(shown, report)
    shown.caption = caption_of(report)
    add_ceiling(shown, report)
    return shown
