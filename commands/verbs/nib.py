"""Run the Non-Inferiority Benchmark: does the candidate predict like the anchor?

Example: abi nib --anchor python@ref-llama --candidate python-from-ref-gpt2@ref-llama
"""

from __future__ import annotations

from typing import Annotated

from commands.options import AlsoEval, Field, Fields, HeldOutText, described_by
from commands.session import Session
from transplant.evaluation.config import NIBConfig, PowerConfig, power_asked

MARGIN = Field(
    help="With --power: the distance from a threshold that shall be told, in the criterion's own "
    "unit."
)


@described_by("workflows.nib.nib_report")
def nib(
    session: Session,
    *,
    anchor: str,
    candidate: str,
    data: HeldOutText = None,
    extended: bool = False,
    config: Annotated[NIBConfig, Fields("chunks chunk_length skip")],
    power: bool = False,
    of_power: Annotated[PowerConfig, Fields(margin=MARGIN)],
    also_eval: AlsoEval = None,
) -> None:
    """Run the Non-Inferiority Benchmark; exit 3 where it does not pass.

    Args:
        power: what so many chunks can tell, from many more chunks.
    """
    from transplant.tables.nib import nib_sheet
    from transplant.workflows.nib import nib_report

    report = nib_report(
        session, anchor, candidate, data=data, config=config, extended=extended,
        power=power_asked(power, of_power), also_eval=also_eval,
    )  # fmt: skip
    session.out.result(report, nib_sheet(report), passed=report["pass"])
