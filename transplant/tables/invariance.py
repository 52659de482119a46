"""A module through updates of its backbone, as tables."""

from __future__ import annotations

from typing import Any

from transplant.evaluation.invariance import APPLIED
from transplant.tables.shares import bounds_text, kept_text, share_text
from transplant.tables.table import Sheet, Table, prose
from transplant.tables.words import bad, faint, strong

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
    shown = Table(
        f"{report['module']} through an update ({report['kind']}, "
        f"stability {report['stability']:g}, seeds {len(report['seeds'])})",
        "", "perplexity", "efficacy", "95 %", "in nats", "published", prose(""),
    )  # fmt: skip
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
        shown.add(system, f"{report['ppl'][system]:.2f}", *cells, faint(note))
    shown.end_section()
    before, after = report["update_ppl"]["before"], report["update_ppl"]["after"]
    shown.add("update's text", f"{after:.2f}", "", "", "", "", faint(f"{before:.2f} before it"))
    seconds = report["seconds"]
    as_good = "as good" if report["native_matched"] else "that stays below it"
    shown.add(
        "repair", f"{seconds['repair']:.1f} s", "", "", "", "",
        faint(
            f"a native {as_good}: {seconds['native_to_match']:.1f} s, "
            f"{report['repair_speedup']:.1f} times as long"
        ),
    )  # fmt: skip
    same = len(set(report["module_sha256"].values())) == 1
    shown.add("module bytes", "identical" if same else bad("CHANGED"))
    shown.add("verdict", strong(report["verdict"]))
    shown.note(report.get("no_ceiling"))
    return shown


def succession_sheet(report: dict[str, Any]) -> Sheet:
    """The efficacies round by round, and the matrix after the last one."""
    rounds = Table(
        f"{len(report['rounds'])} updates of {report['backbone']}",
        "round", "module", "raw", "zero-shot", "repaired", "native", "efficacy", "repaired",
    )  # fmt: skip
    for row in report["rounds"]:
        for name, ppl in row["ppl"].items():
            systems = ("raw_updated", "zero_shot", "repaired", "native_updated")
            rounds.add(
                f"{row['round']} {row['corpus']}",
                name,
                *(f"{ppl[system]:.2f}" for system in systems),
                *(share_text(row["efficacy"][name][applied], ".1%") for applied in APPLIED),
            )
    last = report["rounds"][-1]["matrix"]["zero_shot"]
    columns = [*next(iter(last["ppl"].values()))]
    matrix = Table("perplexity after the last update, by what is attached", "attached", *columns)
    for attached, row in last["ppl"].items():
        matrix.add(attached, *(f"{row[column]:.2f}" for column in columns))
    notes = Table("", "", "")
    for name, percent in last["general_worsens"].items():
        notes.add(f"general text with {name}, no gate", f"{percent:+.1f} %")
    final = report["rounds"][-1]
    for name, percent in final["matrix_gated"]["zero_shot"]["general_worsens"].items():
        notes.add(f"general text with {name}, gated", f"{percent:+.2f} %")
    for name, found in final["gate"]["zero_shot"].items():
        notes.add(f"of the gain of {name} its gate keeps", kept_text(found["kept"]))
    for name, percent in last["others_worsen"].items():
        notes.add(f"the domain of {name}, with the others as well", f"{percent:+.1f} %")
    for name, decay in report["decay"].items():
        change = share_text(decay["zero_shot"], "+.1%")
        notes.add(f"efficacy of {name} from round to round", change)
    for row in report["rounds"]:
        for name, why in row.get("no_ceiling", {}).items():
            rounds.note(f"round {row['round']}, {name}: {why}")
    return Sheet(rounds, matrix, notes)
