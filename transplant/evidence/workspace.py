"""The part of the front door that measures hosted models and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.validation import check_several
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.analysis.config import AnalysisConfig
    from transplant.evaluation.perplexity_config import PerplexityConfig
    from transplant.evaluation.uq_config import UqConfig
    from transplant.evidence.generate import GenerateConfig, Listener
    from transplant.evidence.harness.config import EvalConfig
    from transplant.evidence.uq import UqResult
    from transplant.tracing.config import PrefilterConfig, TraceConfig


class EvidenceWorkspace(Work):
    """Measurements, by names; see `Workspace`."""

    def trace(
        self,
        model: str,
        *,
        targets: str = "auto",
        data: str | None = None,
        pairs: str | None = None,
        config: TraceConfig | None = None,
        prefilter: PrefilterConfig | None = None,
        out: str | Path | None = None,
    ) -> dict[str, Any]:
        """Measures what parts of a hosted model are worth; see `evidence.trace.job`.

        Args:
            model: a backbone, or what is hosted on one.
            targets: `auto` for every head and feed-forward part, or names as `head:3.2,ffn:4`.
            data: text; by default the module's domain, else `prose`.
            pairs: in place of text, a file of clean and corrupted texts to patch between.
            config: how it is measured; its seed counts, not the workspace's. By default the mean
                is put in, and nll measured, of pairs the difference of two logits.
            prefilter: gradients choose what is measured exactly; None for all targets.
            out: a folder for the JSON and the heat map.

        Returns:
            The report: targets by their effect, with intervals over documents or pairs.
        """
        from transplant.evidence.trace.job import run_trace
        from transplant.evidence.trace.spec import TraceJob
        from transplant.tracing.config import TraceConfig

        metric = "nll" if pairs is None else "logit-diff"
        job = TraceJob(
            model=model, targets=targets, data=data, pairs=pairs, prefilter=prefilter,
            config=config or TraceConfig(seed=self.seed, metric=metric),
            out=None if out is None else Path(out),
        )  # fmt: skip
        return run_trace(self, job)

    def analyze(
        self,
        bank: str,
        activations: str | Path,
        *,
        against: str | Path | None = None,
        config: AnalysisConfig | None = None,
        out: str | Path | None = None,
    ) -> dict[str, Any]:
        """Says what a donor's pieces and hidden states are like; see `evidence.analyze.job`.

        Args:
            bank: the pieces: `NAME`, or `NAME@backbone`.
            activations: a file of its backbone that `capture` made.
            against: one of another backbone on the same text, whose layers are compared.
            config: how much is read.
            out: a file for the catalog, as JSON.

        Returns:
            The catalog: spectra of maps and states, roles of heads, similarity of layers.
        """
        from transplant.analysis.config import AnalysisConfig
        from transplant.evidence.analyze.job import AnalyzeJob, run_analyze

        job = AnalyzeJob(
            bank=bank, activations=Path(activations),
            against=None if against is None else Path(against),
            config=config or AnalysisConfig(), out=None if out is None else Path(out),
        )  # fmt: skip
        return run_analyze(self, job)

    def nib(self, anchor: str, candidate: str, **options: Any) -> dict[str, Any]:
        """The Non-Inferiority Benchmark of two hosted models; see `workflows.nib.nib_report`."""
        from transplant.workflows.nib import nib_report

        return nib_report(self, anchor, candidate, **options)

    def cfgen(self, task: str, out: Path | str, **options: Any) -> dict[str, Any]:
        """Minimal pairs of a grammar in a file; see `evidence.cfgen.generate_pairs`."""
        from transplant.evidence.cfgen import generate_pairs

        return generate_pairs(self, task, out, **options)

    def cfeval(self, model: str, pairs: Path | str, **options: Any) -> dict[str, Any]:
        """Accuracy of a hosted model on minimal pairs; see `evidence.cfeval.evaluate_pairs`."""
        from transplant.evidence.cfeval import evaluate_pairs

        return evaluate_pairs(self, model, pairs, **options)

    def uq(
        self,
        model: str,
        data: str | None = None,
        *,
        baseline: str | None = None,
        config: UqConfig | None = None,
    ) -> UqResult:
        """How sure a hosted model is, and how right; see `evidence.uq.measure_uncertainty`."""
        from transplant.evidence.uq import measure_uncertainty

        return measure_uncertainty(self, model, data, baseline=baseline, config=config)

    def perplexity(
        self,
        models: Sequence[str],
        data: str | None = None,
        *,
        config: PerplexityConfig | None = None,
    ) -> dict[str, Any]:
        """What predicting a text costs models; see `evidence.perplexity.measure_perplexity`."""
        from transplant.evidence.perplexity import measure_perplexity

        check_several(models=models)
        return measure_perplexity(self, models, data, config=config)

    def generate(
        self,
        model: str,
        prompts: Sequence[str],
        *,
        native: str | None = None,
        config: GenerateConfig | None = None,
        listener: Listener | None = None,
    ) -> dict[str, Any]:
        """Texts of a model, its raw backbone and a native; see `evidence.generate`."""
        from transplant.evidence.generate import run_generate

        check_several(prompts=prompts)
        return run_generate(self, model, prompts, native=native, config=config, listener=listener)

    def eval(
        self,
        model: str,
        tasks: Sequence[str] = (),
        *,
        task_path: Path | str | None = None,
        native: str | None = None,
        config: EvalConfig | None = None,
    ) -> dict[str, Any]:
        """Tasks of lm-eval on a model, its raw backbone and a native; see `evidence.harness.job`.

        Raises:
            InputError: lm-eval is not installed, or no task is named.
        """
        from transplant.evidence.harness.tasks import check_installed

        check_several(tasks=tasks)
        check_installed()
        from transplant.evidence.harness.job import run_eval

        return run_eval(self, model, tasks, task_path=task_path, native=native, config=config)

    def route_sim(self, metrics: Path | str, **options: Any) -> dict[str, Any]:
        """Routing by uncertainty, simulated; see `evidence.route_sim.simulate_route`."""
        from transplant.evidence.route_sim import simulate_route

        return {**simulate_route(metrics, seed=self.seed, **options), "made": self.made()}

    def report(
        self, runs: Sequence[str], out: Path | str, *, prompts: Sequence[str] = (),
        samples: int = 2,
    ) -> dict[str, Any]:  # fmt: skip
        """Writes what runs have measured as one document; see `evidence.report.job`.

        Args:
            runs: names of artifacts, files of results, or folders of such files.
            out: the file: .html, .md or .pdf by its ending.
            prompts: to write text from, before and after the first move; none: beginnings of
                held-out documents.
            samples: how many prompts are taken from documents; 0 for no text.

        Returns:
            The file, its headline, the runs by kind, and what is named as missing.
        """
        from transplant.evidence.report.job import ReportJob, run_report

        check_several(runs=runs, prompts=prompts)
        job = ReportJob(runs=runs, out=Path(out), prompts=prompts, samples=samples)
        return run_report(self, job)

    def validate(
        self, model: str, baseline: str, *, gates: Path | str | None = None, **options: Any
    ) -> dict[str, Any]:
        """A model against a baseline, by every measure; see `evidence.validate.job`.

        Args:
            model: the hosted model to judge.
            baseline: what it is held against, of the same tokenizer.
            gates: a file of what is tolerated.
            options: of `plan_validation`: `domains`, `general`, `pairs`, `suite`.
        """
        from transplant.evidence.validate.job import plan_validation, run_validation

        return run_validation(self, plan_validation(self, model, baseline, **options), gates)
