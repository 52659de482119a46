"""Show everything known about one artifact.

Example: abi show python-shipped-from-ref-gpt2@ref-llama
Example: abi show python@ref-gpt2 --recipe
"""

from __future__ import annotations

from commands.options import Named, Verify
from commands.session import Session
from registry.listing import kind_named
from transplant.validation import refuse_idle


def show(
    session: Session,
    *,
    name: Named,
    kind: str | None = None,
    verify: Verify = False,
    full: bool = False,
    recipe: bool = False,
) -> None:
    """Show everything known about one artifact, with the evidence that was stored with it.

    Args:
        kind: only this kind; default: the module, else what there is.
        full: with --json: the counts of the training tokens, too.
        recipe: print the recipe that made it, for abi run.
    """
    from transplant.tables.artifacts import artifact_sheet
    from transplant.tables.words import code
    from transplant.workflows.artifacts import describe_artifact

    if recipe:
        refuse_idle("`recipe`", "`recipe` alone, or with `kind`", verify=verify, full=full)
        from commands.steps import StepVerbs
        from transplant.recipes.origin import origin_of

        origin = origin_of(session, name, kind_named(kind), StepVerbs())
        session.out.result(origin, code(origin["yaml"].rstrip()))
        return
    entry = session.find(name, kind_named(kind))
    if verify:
        session.registry.verify(entry)
    report = describe_artifact(entry, verified=verify, full=full)
    session.out.result(report, artifact_sheet(report))
