"""A module through updates of its backbone, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table
from transplant.pictures.shares import bounds_text, kept_text, share_text
from transplant.workflows.update.succession import APPLIED

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

NOTES = {
    "raw": "the backbone before the update",
    "with_module": "the module on it",
    "raw_updated": "the updated backbone: module off",
    "zero_shot": "old interface, old module, nothing trained",
    "repaired": "interface solved for again, no gradient; the calibration split chooses",
    "native_updated": "trained on the updated backbone: the ceiling",
    "native_same_tokens": "control: native, with as many tokens as the repair read",
    "random_repaired": "control: an untrained module, repaired to do what the old one did",
    "random_module": "control: an untrained module behind the same interface",
}


def invariance_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    shown = table(
        f"{report['module']} through an update ({report['kind']}, "
        f"stability {report['stability']:g}, seeds {len(report['seeds'])})",
        "", "perplexity", "efficacy", "95 %", "in nats", "published", "",
    )  # fmt: skip
    shown.columns[-1].justify, shown.columns[-1].no_wrap = "left", False
    weighed = {"zero_shot": report, "repaired": report["repaired"], **report["controls"]}
    for system, note in NOTES.items():
        found = weighed.get(system)
        cells = ["", "", "", ""]
        if found is not None:
            cells = [
                share_text(found["efficacy"], ".1%"),
                bounds_text(found["interval"]["efficacy"], ".1%"),
                share_text(found["efficacy_nats"], ".1%"),
                share_text(found["efficacy_published"], ".1%"),
            ]
        shown.add_row(system, f"{report['ppl'][system]:.2f}", *cells, f"[dim]{note}[/dim]")
    shown.add_section()
    before, after = report["update_ppl"]["before"], report["update_ppl"]["after"]
    shown.add_row(
        "update's text", f"{after:.2f}", "", "", "", "", f"[dim]{before:.2f} before it[/dim]"
    )
    seconds = report["seconds"]
    as_good = "as good" if report["native_matched"] else "that stays below it"
    shown.add_row(
        "repair", f"{seconds['repair']:.1f} s", "", "", "", "",
        f"[dim]a native {as_good}: {seconds['native_to_match']:.1f} s, "
        f"{report['repair_speedup']:.1f} times as long[/dim]",
    )  # fmt: skip
    same = len(set(report["module_sha256"].values())) == 1
    shown.add_row("module bytes", "identical" if same else "[red]CHANGED[/red]", *[""] * 5)
    shown.add_row("verdict", f"[bold]{report['verdict']}[/bold]", *[""] * 5)
    shown.caption = report.get("no_ceiling")
    return shown


def succession_tables(report: dict[str, Any]) -> Group:
    """The efficacies round by round, and the matrix after the last one."""
    from rich.console import Group

    rounds = table(
        f"{len(report['rounds'])} updates of {report['backbone']}",
        "round", "module", "raw", "zero-shot", "repaired", "native", "efficacy", "repaired",
    )  # fmt: skip
    for row in report["rounds"]:
        for name, ppl in row["ppl"].items():
            systems = ("raw_updated", "zero_shot", "repaired", "native_updated")
            rounds.add_row(
                f"{row['round']} {row['corpus']}",
                name,
                *(f"{ppl[system]:.2f}" for system in systems),
                *(share_text(row["efficacy"][name][applied], ".1%") for applied in APPLIED),
            )
    last = report["rounds"][-1]["matrix"]["zero_shot"]
    columns = [*next(iter(last["ppl"].values()))]
    matrix = table("perplexity after the last update, by what is attached", "attached", *columns)
    for attached, row in last["ppl"].items():
        matrix.add_row(attached, *(f"{row[column]:.2f}" for column in columns))
    notes = table("", "", "")
    for name, percent in last["general_worsens"].items():
        notes.add_row(f"general text with {name}, no gate", f"{percent:+.1f} %")
    final = report["rounds"][-1]
    for name, percent in final["matrix_gated"]["zero_shot"]["general_worsens"].items():
        notes.add_row(f"general text with {name}, gated", f"{percent:+.2f} %")
    for name, found in final["gate"]["zero_shot"].items():
        notes.add_row(f"of the gain of {name} its gate keeps", kept_text(found["kept"]))
    for name, percent in last["others_worsen"].items():
        notes.add_row(f"the domain of {name}, with the others as well", f"{percent:+.1f} %")
    for name, decay in report["decay"].items():
        change = share_text(decay["zero_shot"], "+.1%")
        notes.add_row(f"efficacy of {name} from round to round", change)
    reasons = [
        f"round {row['round']}, {name}: {why}"
        for row in report["rounds"]
        for name, why in row.get("no_ceiling", {}).items()
    ]
    rounds.caption = "\n".join(reasons) or None
    return Group(rounds, matrix, notes)
