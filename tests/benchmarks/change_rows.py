"""Rows of `bench_changes.py`: what is asked of a move in each, by the name that the table shows."""

from __future__ import annotations

import dataclasses
from typing import Any

from transplant.calibration.changes.spec import AUTO, BEGINS_WITH, LACKING, PUSH_FORWARD
from transplant.calibration.config import CONTINUED, LEFT_OUT, NOTHING, PRODUCT
from transplant.calibration.objectives.choice import ObjectiveChoice

CLOSED = ObjectiveChoice()
TAUGHT = ObjectiveChoice(objective="donor-kd", train="interface", steps=100)
IN_CHUNKS = dataclasses.replace(TAUGHT, chunks=0.1)
CHUNKS_LONGER = dataclasses.replace(IN_CHUNKS, steps=600)
LONGER = dataclasses.replace(TAUGHT, steps=1_200)
READ = ObjectiveChoice(objective="lm+donor-kd", tokens=32_000, steps=100)
READ_LONGER = dataclasses.replace(READ, steps=300, chunks=0.1)
METHODS: dict[str, tuple[dict[str, Any], ObjectiveChoice]] = {
    "begins-with": ({"changes": (BEGINS_WITH,)}, CLOSED),
    "push-forward": ({"changes": (PUSH_FORWARD,)}, CLOSED),
    "lacking": ({"changes": (LACKING,)}, CLOSED),
    "lacking, nothing inside": ({"changes": (LACKING,), "inside": NOTHING}, CLOSED),
    "lacking, continued inside": ({"changes": (LACKING,), "inside": CONTINUED}, CLOSED),
    "push-forward, product": ({"changes": (PUSH_FORWARD,), "longer": PRODUCT}, CLOSED),
    "lacking, product": ({"changes": (LACKING,), "longer": PRODUCT}, CLOSED),
    "lacking, longer auto": ({"changes": (LACKING,), "longer": AUTO}, CLOSED),
    "push-forward, k 1e-4": ({"changes": (PUSH_FORWARD,), "shrink": 1e-4}, CLOSED),
    "push-forward, k 1e-2": ({"changes": (PUSH_FORWARD,), "shrink": 1e-2}, CLOSED),
    "donor-kd, begins-with": ({"changes": (BEGINS_WITH,)}, TAUGHT),
    "donor-kd, push-forward": ({"changes": (PUSH_FORWARD,)}, TAUGHT),
    "donor-kd, lacking": ({"changes": (LACKING,)}, TAUGHT),
    "donor-kd, begins-with, chunks": ({"changes": (BEGINS_WITH,)}, IN_CHUNKS),
    "donor-kd, push-forward, chunks": ({"changes": (PUSH_FORWARD,)}, IN_CHUNKS),
    "donor-kd, lacking, chunks": ({"changes": (LACKING,)}, IN_CHUNKS),
    "32k tokens, begins-with": ({"changes": (BEGINS_WITH,)}, READ),
    "32k tokens, lacking": ({"changes": (LACKING,)}, READ),
    "32k tokens, lacking, any place": (
        {"changes": (LACKING,)},
        dataclasses.replace(READ, window_choice="any"),
    ),
    "32k tokens, lacking, chunks, 300 steps": ({"changes": (LACKING,)}, READ_LONGER),
    "32k tokens, push-forward": ({"changes": (PUSH_FORWARD,)}, READ),
}


@dataclasses.dataclass(frozen=True)
class Written:
    """A move that is paired on what its donor writes."""

    keep: float = 1.0
    excerpts: int = 150
    text_free: bool = False
    choice: ObjectiveChoice = CLOSED
    change: str = LACKING
    inside: str = LEFT_OUT
    less: float | None = None
    """How much of the change of `prose` on the donor is taken away; None: it is not looked at."""


LEARNED = dataclasses.replace(READ, tokens=200_000)  # all of it
WRITTEN = {
    "all": Written(),
    "best half": Written(0.5),
    "best quarter": Written(0.25),
    "all, text-free": Written(text_free=True),
    "best half, text-free": Written(0.5, text_free=True),
    "all, general compared": Written(less=0.0),
    "all, less half of general": Written(less=0.5),
    "all, less general": Written(less=1.0),
    "donor-kd": Written(choice=TAUGHT),
    "donor-kd, best half": Written(0.5, choice=TAUGHT),
    "lm+donor-kd, text-free": Written(text_free=True, choice=LEARNED),
    "lm+donor-kd, best half, text-free": Written(0.5, text_free=True, choice=LEARNED),
    "600 excerpts": Written(excerpts=600),
    "600 excerpts, donor-kd": Written(excerpts=600, choice=TAUGHT),
    "600 excerpts, lm+donor-kd, text-free": Written(excerpts=600, text_free=True, choice=LEARNED),
    "3000 excerpts, text-free": Written(excerpts=3_000, text_free=True),
    "3000 excerpts, donor-kd, 1200 steps, text-free": Written(
        excerpts=3_000, text_free=True, choice=LONGER
    ),
    "3000 excerpts, continued inside, text-free": Written(
        excerpts=3_000, text_free=True, inside=CONTINUED
    ),
    "3000 excerpts, continued inside, donor-kd, chunks, 600 steps, text-free": Written(
        excerpts=3_000, text_free=True, inside=CONTINUED, choice=CHUNKS_LONGER
    ),
    "3000 excerpts, continued inside, 32k tokens, chunks, 600 steps": Written(
        excerpts=3_000, inside=CONTINUED, choice=dataclasses.replace(READ_LONGER, steps=600)
    ),
    "3000 excerpts, continued inside, donor-kd, 1200 steps, text-free": Written(
        excerpts=3_000, text_free=True, inside=CONTINUED, choice=LONGER
    ),
}
