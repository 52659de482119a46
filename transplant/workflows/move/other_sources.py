"""Other sources of a move's domain: read before the work, evaluated beside its held-out text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from transplant.workflows.also_eval import OtherSource, judge_sources, read_sources
from transplant.workflows.move.inputs import MoveInputs

if TYPE_CHECKING:
    from transplant.evaluation.likelihood import System
    from transplant.text.documents import Document

TOKENS = 40_000  # of each source


def read_others(
    move: MoveInputs, also_eval: Mapping[str, str] | None, tokens: int = TOKENS
) -> dict[str, OtherSource]:
    """Other sources of the domain, by name, without the documents that the move uses.

    Args:
        move: the move.
        also_eval: corpora by name.
        tokens: that will be evaluated on, of each.

    Raises:
        CorpusError: nothing there, or nothing left that was not used.
    """
    if not also_eval:
        return {}
    move.donor  # noqa: B018  it reads chats, where the text is any
    return read_sources(move.work, also_eval, _used_documents(move), tokens)


def evaluate_others(
    move: MoveInputs,
    others: Mapping[str, OtherSource],
    systems: Mapping[str, System],
    tokens: int = TOKENS,
) -> dict[str, Any]:
    """Under `sources`, the reports in source and out of source; nothing where there is no other.

    Args:
        move: the move.
        others: as `read_others` gives them.
        systems: `raw`, `native` where there is one, and others.
        tokens: to evaluate on, of each source.
    """
    if not others:
        return {}
    with move.step("evaluate_sources"):
        held_out = move.domain_text.eval
        return {"sources": judge_sources(move.work, move.target, systems, held_out, others, tokens)}


def _used_documents(move: MoveInputs) -> Iterator[Document]:
    for text in move.used_texts:
        yield from (*text.train, *text.calibration)
