"""A fusion as a table."""

from __future__ import annotations

from typing import Any

from transplant.surgery.fuse.config import DRAWN, RANDOM
from transplant.tables.table import Table
from transplant.tables.words import bad, strong


def fusion_table(report: dict[str, Any]) -> Table:
    """Perplexities of every system, then weights and the verdict."""
    texts = [*report["tokens"]]
    shown = Table(f"{report['name']}: {report['combiner']} on block {report['layer']}", "", *texts)
    for system, on in report["ppl"].items():
        name = strong(system) if system == report["combiner"] else system
        shown.add(name, *(f"{on[text]['ppl']:.2f}" for text in texts))
    shown.end_section()
    for member in report["members"]:
        own = report["weights"][report["combiner"]]
        means = (f"{own[text][member]['mean']:+.2f}" if text in own else "" for text in texts)
        shown.add(f"weight of {member}", *means)
    last = report["members"][-1]
    for control, behind in ((RANDOM, "its maps"), (DRAWN, "drawn maps")):
        if own := report["weights"].get(control):
            means = (f"{own[text][last]['mean']:+.2f}" if text in own else "" for text in texts)
            shown.add(f"weight of a random module for {last}, behind {behind}", *means)
    changes = (f"{report['gain'][text]['change']:+.1%}" for text in texts)
    shown.add("against the best single", *changes)
    goals = report["goals"]
    on_mix = "better" if goals["mix_better_than_each"] else bad("not better")
    far = [text for text, met in goals["own_text_within_2_percent"].items() if not met]
    near = bad(f"not within 2 % on {', '.join(far)}") if far else "within 2 % on each own text"
    shown.note(("on the mix ", on_mix, " than each module alone; ", near))
    return shown
