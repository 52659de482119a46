"""The options of what is moved and of what learns it: `transfer`."""

from __future__ import annotations

from typing import Annotated

from commands.options.move import PAIRING
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.spec import AUTO, MODULE, STUDENTS
from transplant.evaluation.curve import parse_budgets
from transplant.options import Field, Fields
from transplant.values import parse_names
from transplant.workflows.move.curve_job import CurveJob
from transplant.workflows.transfer.job import TransferJob


def _told(name: str) -> str:
    spec = STUDENTS[name]
    return f"{name} ({spec.says}; needs {' and '.join(spec.needs)}; {spec.cost})"


STUDENT = Field(
    help="What learns from it: "
    + "; ".join(map(_told, STUDENTS))
    + f"; {AUTO}: the best of --students. Default: {AUTO}; of --module: {MODULE}."
)
RANK = Field(
    help="Of the student lora: its rank; of copy: the rank that a full fine-tune is cut to. "
    f"Default: {LoraRecipe.rank}."
)
ALPHA = Field(help=f"Of the student lora: B A counts alpha / rank. Default: {LoraRecipe.alpha:g}.")
STEPS = Field(help=f"Of lora and basis: gradient steps at most. Default: {LoraRecipe.steps}.")
Transferred = Annotated[
    TransferJob,
    Fields(
        "module to donor tuned domain basis other_base no_intercept domain_data text_free general "
        "name",
        teachers=Field(parse=parse_names, metavar="NAMES"), student=STUDENT,
        students=Field(parse=parse_names, metavar="NAMES"), lora_rank=RANK,
        lora_alpha=ALPHA, lora_targets=Field(parse=parse_names, metavar="NAMES"), lora_steps=STEPS,
        data=PAIRING,
    ),
]  # fmt: skip
BUDGETS = Field(
    of="budgets", parse=parse_budgets,
    help="Budgets of domain text, as 0,4k,32k: recovered at each by the moved module, a random "
    "one and one trained from scratch. Nothing is stored.",
)  # fmt: skip
Curve = Annotated[CurveJob, Fields("seeds steps chunks out", curve=BUDGETS)]
