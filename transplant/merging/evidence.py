"""Evidence of a merge: the merged backbone beside each parent, and what is hosted on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transplant.errors import BackboneError, CorpusError, ShapeError, TransplantError
from transplant.evaluation.config import NIBConfig
from transplant.evaluation.intervals import Interval, paired_bootstrap, ratio_interval
from transplant.evidence.validate.gate_file import Number
from transplant.evidence.validate.on_text import check_text
from transplant.evidence.validate.plan import ValidationPlan
from transplant.merging.parents import Parent
from transplant.merging.spec import MergeJob
from transplant.workflows.corpus import read_alike, read_as_needed, windows_of
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import Likelihood, System
    from transplant.library import Entry
    from transplant.modules.hosted import HostedModel
    from transplant.text.windows import Window

RAW, HOSTED = "raw", "hosted"
WINDOW = 512
Sources = Mapping[str, str]


def domains_of(work: Work, job: MergeJob, parents: Sequence[Parent]) -> dict[str, str]:
    """The texts that a merge is measured on, by name; each can be read.

    Without any of the user's these are the domains of what is hosted on the parents; one that can
    no longer be read is left out, and said.

    Raises:
        CorpusError: a text of the user's, or general text, that cannot be read.
    """
    for source in (*job.domains.values(), *job.general.values()):
        read_as_needed(work, source, evaluation=job.budgets.eval_tokens)
    if job.domains:
        return dict(job.domains)
    found: dict[str, str] = {}
    for entry in (entry for parent in parents for entry in parent.hosted):
        name, source = _domain(work, entry)
        if source is None or name in {*found, *job.general} or source in job.general.values():
            continue
        try:
            read_as_needed(work, source, evaluation=job.budgets.eval_tokens)
        except TransplantError as error:
            work.reporter.warn(f"not measured on {name}: {error}")
            continue
        found[name] = source
    return found


def compare(
    work: Work, job: MergeJob, domains: Sources, parents: Sequence[Parent], merged: Backbone
) -> dict[str, Any]:
    """Measures the merged backbone beside each parent, on every text, and weighs what they host.

    Returns:
        `texts` by name: perplexity, gain, calibration, drift and NIB against each parent; and
        `hosted`, a row for each module, linear map and adapter of the parents.
    """
    from transplant.modules.hosted import HostedModel

    texts: dict[str, Any] = {name: {"parents": {}} for name in (*domains, *job.general)}
    rows: list[dict[str, Any]] = []
    model = HostedModel(job.name, merged)
    for parent in parents:
        own = work.load(parent.place)
        plan = ValidationPlan(
            model=job.name, baseline=parent.called, domains=domains, general=job.general,
            suite=job.suite, window=WINDOW,
        )  # fmt: skip
        for name, text in texts.items():
            checked = check_text(work, plan, name, model, own)
            text |= {key: checked.facts[key] for key in ("source", "split", "tokens", "documents")}
            numbers = {kind.removesuffix(f".{name}"): n for kind, n in checked.numbers.items()}
            text["parents"][parent.called] = {
                **{kind: number.as_dict() for kind, number in numbers.items()},
                "parent_perplexity": checked.facts["baseline_perplexity"],
                "nib": nib_verdict(numbers),
            }
        rows += [_weigh(work, job, entry, parent, own.backbone, merged) for entry in parent.hosted]
    for text in texts.values():  # the same beside every parent
        text["perplexity"] = next(iter(text["parents"].values()))["perplexity"]
    return {"texts": texts, "hosted": rows}


def nib_verdict(numbers: Mapping[str, Number]) -> str | None:
    """The worst of the four verdicts of a NIB; None where the text was too short for one."""
    from transplant.evaluation.nib import CRITERIA, FAIL, PASS, PASS_POINT, judge_criterion

    limits = NIBConfig().thresholds
    verdicts: list[str] = []
    for name in CRITERIA:
        found = numbers[f"nib.{name}"]
        if found.value is None or found.low is None or found.high is None:
            return None
        interval = Interval(found.low, found.value, found.high)
        verdicts.append(judge_criterion(name, interval, limits[name]))
    return max(verdicts, key=(PASS, PASS_POINT, FAIL).index)


def _weigh(
    work: Work, job: MergeJob, entry: Entry, parent: Parent, own: Backbone, merged: Backbone
) -> dict[str, Any]:
    """What is hosted on a parent, there and unchanged on the merged backbone, on its domain.

    A gain is in nats per token over the backbone without it; `kept` the merged backbone's share of
    the parent's. A gate stays out of it: it belongs to its backbone.
    """
    from transplant.evaluation.evidence import no_ceiling
    from transplant.evaluation.likelihood import score_documents
    from transplant.loading.hosted import host

    manifest = entry.manifest
    name, source = _domain(work, entry)
    row: dict[str, Any] = {
        "name": f"{manifest.name}@{parent.called}", "kind": manifest.kind, "domain": name,
    }  # fmt: skip
    try:
        if source is None:
            raise CorpusError("it has no domain")
        hosted = host(own, manifest.name, work.library, manifest.d_abi)
        elsewhere = _elsewhere(hosted, f"{manifest.name}@{job.name}", merged)
        windows = _windows(work, job, source, own)
    except (BackboneError, CorpusError, ShapeError) as error:
        return {**row, "kept": None, "why": str(error)}
    with work.reporter.progress(f"weighing {row['name']}") as progress:
        there, here = (
            score_documents(side, windows, {RAW: None, HOSTED: system}, progress=progress)
            for side, system in ((own, _system(hosted)), (merged, _system(elsewhere)))
        )
    documents = len(there[RAW].tokens)
    gains = [_plain(_gain(side), documents) for side in (there, here)]
    why = no_ceiling(there[RAW], there[HOSTED])
    kept = None if why else ratio_interval(_won(here), _won(there), resamples=2_000)
    return {
        **row,
        "tokens": int(there[RAW].tokens.sum()),
        "documents": documents,
        "ppl": {
            f"{side}_{system}": scores[system].perplexity
            for side, scores in (("parent", there), ("merged", here))
            for system in (RAW, HOSTED)
        },
        "parent_gain": gains[0],
        "merged_gain": gains[1],
        "kept": None if kept is None else _plain(kept, documents),
        **({} if why is None else {"why": why}),
    }


def _elsewhere(hosted: HostedModel, name: str, backbone: Backbone) -> HostedModel:
    """The same module, linear map or adapter at work in another backbone of the same shape.

    Raises:
        ShapeError, BackboneError: it does not fit.
    """
    from transplant.modules.hosted import HostedModel
    from transplant.modules.hosted_linear import LinearModel
    from transplant.surgery.lora.hosted import LoraModel

    if isinstance(hosted, LinearModel):
        return LinearModel(name, backbone, hosted.linear)
    if isinstance(hosted, LoraModel):
        return LoraModel(name, backbone, hosted.update)
    return HostedModel(name, backbone, hosted.correction)


def _system(hosted: HostedModel) -> System:
    return hosted if hosted.corrector is None else hosted.correction or hosted.corrector


def _windows(work: Work, job: MergeJob, source: str, backbone: Backbone) -> list[Window]:
    tokens = job.budgets.eval_tokens
    splits = read_as_needed(work, source, evaluation=tokens)
    return windows_of(backbone, splits.eval, WINDOW, tokens)


def _domain(work: Work, entry: Entry) -> tuple[str, str | None]:
    """What an artifact is about, and the text that it was made on, which is read as it was then."""
    manifest = entry.manifest
    source = manifest.made.get("corpus", manifest.domain)
    if source is not None:
        read_alike(work, manifest.made, str(source))
    return manifest.domain or str(source), None if source is None else str(source)


def _won(scores: Mapping[str, Likelihood]) -> Any:
    return (scores[RAW].nats - scores[HOSTED].nats).numpy()


def _gain(scores: Mapping[str, Likelihood]) -> Interval:
    raw, hosted = scores[RAW], scores[HOSTED]
    sides = (side.numpy() for side in (raw.nats, hosted.nats, raw.tokens))
    return paired_bootstrap(*sides, resamples=2_000)


def _plain(value: Interval, documents: int) -> dict[str, object]:
    """For JSON; of a single document there is no interval."""
    return {"value": value.mean, "interval": value.as_list() if documents > 1 else None}
