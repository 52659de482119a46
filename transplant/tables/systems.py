"""The systems that a move is measured beside: what each is."""

from __future__ import annotations

NOTES = {
    "raw": "the target as it is",
    "native": "a module trained on the target: the ceiling",
    "candidate": "the moved module",
    "random_module": "donor-free: same maps, random module",
    "shuffled_pairs": "donor-free: pairs that do not belong together",
    "linear_surrogate": "module-free: taps straight to the wanted change",
    "random_refitted": "module-free: random module, output refitted",
    "donor_alone": "module-free: log ratio of the donor's backbone, no module",
    "direct_copy": "the donor's interface as it is",
    "pasted": "the module's bytes in the target core, no fit",
}
OTHER_DOMAIN = "another domain under the same maps"
"""What a system is that has no name of its own."""

ROLES = ("moved", "native", "no-module", "no-donor", "other")
"""What a system can be to a move, in the order of a drawing; on pages, the classes of bars."""


def role_of(system: str) -> str:
    """What a system is to the move: one of `ROLES`, by what it lacks."""
    from transplant.evaluation.evidence import CANDIDATE, DONOR_FREE, MODULE_FREE, NATIVE

    if system in DONOR_FREE:
        return "no-donor"
    if system in MODULE_FREE:
        return "no-module"
    return {CANDIDATE: "moved", NATIVE: "native"}.get(system, "other")
