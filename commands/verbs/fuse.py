"""Fuse several transplanted modules on one layer; each position weighs them anew.

Example: abi fuse python@ref-gpt2 chess@ref-gpt2 --domain-data python --domain-data games.pgn
"""

from __future__ import annotations

from typing import Annotated

from commands.options import ARGUMENT, EvalTokens, Field, Fields, Replace, described_by
from commands.session import Session
from transplant.surgery.fuse.config import FuseConfig
from transplant.validation import Bounds


@described_by("workflows.fuse.report.run_fusion", "workflows.fuse.fusion.Fusing")
def fuse(
    session: Session,
    *,
    members: Annotated[list[str], ARGUMENT],
    data: Annotated[list[str] | None, Field(spelled="--domain-data --data")] = None,
    layer: Annotated[int | None, Bounds(0)] = None,
    combiner: str | None = None,
    name: Annotated[str, Field(help="Hosted as NAME@<backbone>.")] = "fused",
    config: Annotated[
        FuseConfig,
        Fields("steps batch window learning_rate seed", tokens=Field(of="train_tokens", low=64)),
    ],
    eval_tokens: EvalTokens = 20_000,
    controls: Annotated[bool, Field(spelled="--controls/--no-controls")] = True,
    replace: Replace = False,
) -> None:
    """Fuse several transplanted modules on one layer; only the fusion is trained."""
    from transplant.tables.fusion import fusion_table
    from transplant.workflows.fuse.fusion import Fusing
    from transplant.workflows.fuse.report import run_fusion

    texts = tuple(data or ())
    fusion = Fusing(session, tuple(members), texts, layer, config, combiner, eval_tokens)
    report = run_fusion(fusion, name, eval_tokens, controls=controls, replace=replace)
    session.out.result(report, fusion_table(report))
