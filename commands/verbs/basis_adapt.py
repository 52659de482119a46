"""Train an adapter inside a basis, or cut the backbone to it.

Example: abi basis adapt code@ref-gpt2 --domain python --peft ./python-lora
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import (
    ARGUMENT,
    EVAL_TOKENS,
    DomainText,
    EvalTokens,
    NameOption,
    Replace,
    described_by,
)
from commands.options.basis import ADAPTED
from commands.session import Session
from transplant.basis.config import AdaptConfig
from transplant.errors import InputError
from transplant.validation import changed, refuse_idle

RECIPE = ("steps", "batch", "window", "calibration_tokens", "evaluate_every", "learning_rate",
          "train_tokens")  # fmt: skip


@described_by("workflows.basis.spec.AdaptJob")
def basis_adapt(
    session: Session,
    *,
    basis: Annotated[str, ARGUMENT],
    config: Annotated[AdaptConfig, ADAPTED],
    domain: str | None = None,
    data: DomainText = None,
    name: NameOption = None,
    forget: str = "prose",
    peft: Path | None = None,
    merge: str | None = None,
    compress: float | None = None,
    out: Path | None = None,
    eval_tokens: EvalTokens = EVAL_TOKENS,
    replace: Replace = False,
) -> None:
    """Train C alone inside a basis: host it, hand it to PEFT, merge it; or cut the backbone.

    Args:
        forget: other text, on which forgetting is measured; none for none.
        compress: no adapter: cut the backbone to this share of its maps' parameters, counted as
            factors; the folder is dense, of the same shapes.
        out: the folder of the cut backbone, for `compress`.
    """
    from transplant.tables.basis import adapt_table, compress_table
    from transplant.workflows.basis.adapt import run_adapt
    from transplant.workflows.basis.compress import run_compress
    from transplant.workflows.basis.spec import AdaptJob, CompressJob

    if compress is not None:
        refuse_idle(
            "`compress`", "`compress` with `out`, `data` and `eval_tokens`", domain=domain,
            name=name, peft=peft, merge=merge, forget=forget != "prose", replace=replace,
            **changed(config, *RECIPE),
        )  # fmt: skip
        if out is None:
            raise InputError("`compress`", expected="`out` beside it, the folder to be")
        cut = CompressJob(basis=basis, ratio=compress, out=out, data=data, eval_tokens=eval_tokens)
        report = run_compress(session, cut)
        session.out.result(report, compress_table(report))
        return
    refuse_idle("an adapter", "`out` beside `compress`", out=out)
    if domain is None:
        raise InputError("`domain`", expected="what the adapter is about, as python")
    job = AdaptJob(
        basis=basis, domain=domain, data=data, name=name, peft=peft, merge=merge,
        forget=None if forget == "none" else forget, eval_tokens=eval_tokens, config=config,
    )  # fmt: skip
    report = run_adapt(session, job, replace=replace)
    session.out.result(report, adapt_table(report))
