"""Names of the ways to carry a change of logits across tokenizers; no torch here."""

from __future__ import annotations

from transplant.errors import InputError

BEGINS_WITH, PUSH_FORWARD, LACKING = "begins-with", "push-forward", "lacking"
AUTO = "auto"
CHANGES = {
    BEGINS_WITH: "a token of the target changes as the donor's token that it begins with",
    PUSH_FORWARD: "the donor's probabilities, summed over all tokens that begin with the target's",
    LACKING: "push-forward, and no token is raised that the target has as often as the donor",
}
"""What each says in one line; `auto` takes the one that the calibration split prefers."""


def changes_of(name: str) -> tuple[str, ...]:
    """The ways that are tried where one is asked for.

    Raises:
        InputError: there is none of that name.
    """
    if name == AUTO:
        return (*CHANGES,)
    if name not in CHANGES:
        raise InputError("unknown `change`", expected=f"one of {(*CHANGES, AUTO)}", found=name)
    return (name,)
