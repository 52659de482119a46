"""Names of the ways to carry a change of logits across tokenizers; no torch here."""

from __future__ import annotations

from transplant.errors import InputError

BEGINS_WITH, PUSH_FORWARD, LACKING = "begins-with", "push-forward", "lacking"
AUTO, SUITED = "auto", "suited"
CHANGES = {
    BEGINS_WITH: "a token of the target changes as the donor's token that it begins with",
    PUSH_FORWARD: "the donor's probabilities, summed over all tokens that begin with the target's",
    LACKING: "push-forward, and no token is raised that the target has as often as the donor",
}
"""What each says in one line; `auto` takes the one that the calibration split prefers, `suited`
`lacking` where the target's vocabulary is large, and `begins-with` elsewhere."""


def changes_of(name: str) -> tuple[str, ...]:
    """The ways that are tried where one is asked for; none where the target decides.

    Raises:
        InputError: there is none of that name.
    """
    if name == AUTO:
        return (*CHANGES,)
    if name == SUITED:
        return ()
    if name not in CHANGES:
        names = (*CHANGES, AUTO, SUITED)
        raise InputError("unknown `change`", expected=f"one of {names}", found=name)
    return (name,)
