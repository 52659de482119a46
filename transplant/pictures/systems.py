"""The systems that a move is measured beside: what each is, and its colour."""

from __future__ import annotations

NOTES = {
    "raw": "the target as it is",
    "native": "trained on the target: the ceiling",
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

MOVED, CEILING, NO_DONOR, NO_MODULE, OTHER = (
    "#1f6f5c", "#8a8f98", "#c8553d", "#d9a441", "#9fb1c7",
)  # fmt: skip


def colour_of(system: str) -> str:
    """The colour of a system's bar, by what it lacks."""
    from transplant.evaluation.evidence import CANDIDATE, DONOR_FREE, MODULE_FREE, NATIVE

    if system in DONOR_FREE:
        return NO_DONOR
    if system in MODULE_FREE:
        return NO_MODULE
    return {CANDIDATE: MOVED, NATIVE: CEILING}.get(system, OTHER)
