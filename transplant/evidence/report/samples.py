"""Texts before and after a move: the raw target, the native and the moved module, same prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transplant.errors import TransplantError
from transplant.evidence.report.runs import Run
from transplant.pictures.document.blocks import Paragraph, Sample, Samples, Section
from transplant.workflows.corpus import read_as_needed
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel

TITLE = "Text before and after"
PROMPT, WRITTEN = 200, 60  # characters of a prompt, and tokens that follow it
EVAL_TOKENS = 4_000  # of the held-out text that prompts are taken from


def samples_section(work: Work, runs: Sequence[Run], prompts: Sequence[str], count: int) -> Section:
    """What each system of the first move writes after prompts, its likeliest token every time.

    Args:
        work: whose library the models are in.
        runs: of which the first move is taken.
        prompts: to go on from; none: the beginnings of held-out documents of its domain.
        count: how many prompts are taken; 0 writes nothing.
    """
    move = next((run for run in runs if run.kind == "move"), None)
    if count == 0:
        return Section(TITLE, (), ("text: `samples` is 0",))
    if move is None:
        return Section(TITLE, (), ("text of a move: there is none among these runs",))
    try:
        work.find(move.title)  # what is not there is named before anything is loaded
        given = list(prompts) or _beginnings(work, move, count)
        systems = _systems(work, move)
        written = {name: _write(work, name, given) for name in systems}
    except TransplantError as error:
        return Section(TITLE, (), (f"text of {move.title}: {error}",))
    samples = [
        Sample(prompt, [(said, written[name][number]) for name, said in systems.items()])
        for number, prompt in enumerate(given)
    ]
    how = f"Written for this report: {WRITTEN} tokens at most, the likeliest one every time."
    return Section(TITLE, (Paragraph(how, quiet=True), Samples(samples)))


def _systems(work: Work, move: Run) -> dict[str, str]:
    """Names of the models, and what is said of each."""
    target, moved = str(move.data["target"]), move.title
    module = work.named(str(move.data.get("donor", moved))).module
    native = f"{module}@{target}"
    found = {target: f"raw: {target}"}
    if module is not None and work.library.get("module", module, target) is not None:
        found[native] = f"native: {native}"
    return {**found, moved: f"moved: {moved}"}


def _beginnings(work: Work, move: Run, count: int) -> list[str]:
    """The beginnings of the first held-out documents of the move's domain, whole lines."""
    source = move.made.get("corpus") or work.domain_source(move.title)
    splits = read_as_needed(work, str(source), made=move.made, evaluation=EVAL_TOKENS)
    found = []
    for document in splits.eval[:count]:
        start = document.text[:PROMPT]
        found.append(start[: start.rfind("\n") + 1] or start)
    return found


def _write(work: Work, name: str, prompts: Sequence[str]) -> list[str]:
    hosted = work.load(name)
    with work.reporter.progress(f"text of {name}") as progress:
        texts = []
        for number, prompt in enumerate(prompts, 1):
            texts.append(_continue(hosted, prompt))
            progress(number, len(prompts), "prompts")
    return texts


def _continue(hosted: HostedModel, prompt: str) -> str:
    import torch

    tokenizer: Any = hosted.tokenizer
    ids = tokenizer(prompt, return_tensors="pt").input_ids.to(hosted.backbone.device)
    with torch.no_grad():
        out = hosted.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=WRITTEN,
            do_sample=False, pad_token_id=tokenizer.eos_token_id or 0,
            suppress_tokens=hosted.backbone.padding_rows or None,
        )  # fmt: skip
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
