"""The front door of the library: names in, models, artifacts and reports out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.analysis.config import AnalysisConfig
    from transplant.basis.config import AllocateConfig, FitConfig
    from transplant.calibration.config import MoveConfig
    from transplant.calibration.students.recipe import LoraRecipe
    from transplant.evaluation.uq_config import UqConfig
    from transplant.tracing.config import PrefilterConfig, TraceConfig
    from transplant.training.config import TrainConfig
    from transplant.workflows.move.whole import WholeMove
    from transplant.workflows.tuned.whole import WholeTunedMove
    from transplant.workflows.uq import UqResult


@dataclass(frozen=True, kw_only=True)
class Workspace(Work):
    """A library of artifacts, a device, a seed, and somebody to report to; see `Work`."""

    def train(
        self,
        backbone: str,
        domain: str,
        *,
        data: str | None = None,
        name: str | None = None,
        config: TrainConfig | None = None,
        eval_tokens: int = 40_000,
        resume: bool = False,
        replace: bool = False,
    ) -> dict[str, Any]:
        """Trains a domain module and its interface on a frozen backbone, and stores both.

        Args:
            backbone: its name.
            domain: what the module is about; its name where none is given.
            data: the domain's text; by default the corpus that is called as the domain.
            name: the module's name in the library.
            config: the recipe; its seed counts, not the workspace's.
            eval_tokens: held-out tokens to evaluate on.
            resume: continue an interrupted run.
            replace: whether a module of that name may go.

        Returns:
            The report: perplexities, difference in nats per token, hashes, seconds.

        Raises:
            ExistsError: the name is taken and `replace` is off.
        """
        from transplant.training.config import TrainConfig
        from transplant.workflows.train.module import TrainJob, run_train_job

        config = config or TrainConfig(seed=self.seed)
        job = TrainJob(backbone, domain, data or domain, name or domain, config, eval_tokens)
        return run_train_job(self, job, resume=resume, replace=replace)

    def move(
        self,
        module: str,
        to: str,
        *,
        pair_on: str = "prose",
        domain_data: str | None = None,
        config: MoveConfig | None = None,
        name: str | None = None,
    ) -> WholeMove:
        """A move of a module to another backbone; its steps run when they are first asked for.

        Args:
            module: the hosted module, as `python@ref-gpt2`.
            to: the target backbone.
            pair_on: the text to pair on; `donor` for text that the donor generates.
            domain_data: the domain's text; by default what the module was trained on.
            config: how to fit.
            name: of the moved module; by default `<module>-from-<donor>`.
        """
        from transplant.calibration.config import MoveConfig
        from transplant.workflows.move.whole import WholeMove

        config = config or MoveConfig(seed=self.seed)
        return WholeMove(self, module, to, pair_on, domain_data, config, name)

    def move_tuned(
        self,
        donor: str,
        tuned: str,
        to: str,
        *,
        domain: str,
        student: str = "linear",
        pair_on: str = "prose",
        domain_data: str | None = None,
        config: MoveConfig | None = None,
        name: str | None = None,
        other_base: bool = False,
        lora: LoraRecipe | None = None,
    ) -> WholeTunedMove:
        """A move of what a LoRA or a fine-tuned model learned; its steps run when asked for.

        Args:
            donor: the base that was tuned.
            tuned: the tuned copy: a folder that PEFT or `save_pretrained` wrote, a hub id, a
                backbone of the library, or what is hosted on the base, as `law@ref-gpt2`.
            to: the target backbone.
            domain: what the tuned copy is about; the text of that name where none is given.
            student: what learns from it in the target.
            pair_on: the text to pair on; `donor` for text that the tuned copy generates.
            domain_data: the domain's text: counted, to choose gains by, and to judge on.
            config: how to fit.
            name: of the student; by default `<tuned>-from-<donor>`.
            other_base: whether a LoRA that was trained on another base is meant.
            lora: the recipe of the student `lora`.

        Raises:
            InputError: no such student.
        """
        from transplant.calibration.config import MoveConfig
        from transplant.calibration.students.recipe import LoraRecipe
        from transplant.workflows.tuned.whole import WholeTunedMove

        config = config or MoveConfig(seed=self.seed)
        return WholeTunedMove(
            self, tuned, to, pair_on, domain_data, config, name,
            base=donor, domain=domain, student=student, other_base=other_base,
            lora=lora or LoraRecipe(),
        )  # fmt: skip

    def paste(
        self, source: str, to: str, modules: Sequence[str] | None = None, **options: Any
    ) -> dict[str, Any]:
        """Copies modules from core to core as bytes; see `workflows.paste.paste_into_library`."""
        from transplant.workflows.paste import PasteJob, run_paste

        return run_paste(
            self, PasteJob(source, to, None if modules is None else tuple(modules), **options)
        )

    def add(
        self, source: str | Path, name: str, *, copy: bool = False, replace: bool = False
    ) -> dict[str, Any]:
        """Adds a backbone to the library under a short name, its fingerprints computed once.

        Args:
            source: a `save_pretrained` folder, a hub id or a `.gguf` file, which is unpacked once,
                to the workspace's `dtype` (`auto`: bfloat16).
            name: in the library.
            copy: whether the files are copied; else they stay, and the library knows where.
            replace: whether a reference to the same weights may go: their folder has moved.

        Returns:
            The report: fingerprints, sizes, what was made for the same weights before, seconds.

        Raises:
            ExistsError: the name is taken.
            BackboneError: what cannot be loaded, or does not fit into memory.
        """
        from transplant.workflows.add import AddJob, run_add

        return run_add(self, AddJob(source=source, name=name, copy=copy, replace=replace))

    def export(
        self,
        name: str,
        out: str | Path,
        *,
        form: str = "transformers",
        with_backbone: bool = False,
        code: bool = False,
        with_token_counts: bool = False,
        push: str | None = None,
        public: bool = False,
    ) -> dict[str, Any]:
        """Writes what is hosted on a backbone as files that others load, with a model card.

        Args:
            name: a hosted module, linear map or LoRA, as `python@ref-gpt2`.
            out: the folder to be; it must not be there.
            form: `transformers`, a folder that `AutoModelForCausalLM` loads once this library is
                imported; `lora`, one that PEFT loads, of a LoRA or of a linear map of the last
                layer; `safetensors`, plain tensors and their equation.
            with_backbone: whether the backbone's weights are copied into it.
            code: whether the folder brings its code: it loads without this library, with
                `trust_remote_code`.
            with_token_counts: whether the counts of the training text's tokens are told.
            push: a repository of the hub, as `OWNER/NAME`, that the folder is sent to, too.
            public: whether that is visible to all where it is made; else to its owner alone.

        Returns:
            The report: files, bytes, the largest difference of logits, licences, seconds.

        Raises:
            ExistsError: the folder is there.
            InputError: what cannot be exported in that form; no token of the hub.
            StorageError: the disk, or the hub, refused.
        """
        from transplant.workflows.export.job import run_export
        from transplant.workflows.export.spec import ExportJob

        job = ExportJob(
            name=name, out=Path(out), form=form, with_backbone=with_backbone, code=code,
            with_token_counts=with_token_counts, push=push, public=public,
        )  # fmt: skip
        return run_export(self, job)

    def fit_basis(
        self,
        backbone: str,
        data: str,
        name: str,
        *,
        config: FitConfig | None = None,
        layer_at_a_time: bool = False,
        replace: bool = False,
    ) -> dict[str, Any]:
        """Fits the directions that each linear map of a backbone uses on text, and stores them.

        Args:
            backbone: its name.
            data: the calibration text; its training split is read.
            name: of the basis, an artifact of the kind `basis`.
            config: the recipe.
            layer_at_a_time: whether all but one layer stays on the disk.
            replace: whether a basis of that name may go.

        Returns:
            The report: maps, rows, directions, ranks that hold 90 and 99 % of the energy, seconds.

        Raises:
            ExistsError: the name is taken and `replace` is off.
            InputError: `layers` names no map, or too few tokens.
        """
        from transplant.basis.config import FitConfig
        from transplant.workflows.basis.fit import FitJob, run_fit

        job = FitJob(
            backbone=backbone, data=data, name=name, config=config or FitConfig(),
            layer_at_a_time=layer_at_a_time,
        )  # fmt: skip
        return run_fit(self, job, replace=replace)

    def allocate_basis(
        self, name: str, config: AllocateConfig, *, data: str | None = None
    ) -> dict[str, Any]:
        """Gives the maps of a stored basis their ranks; see `workflows.basis.allocate`.

        Args:
            name: the basis, as `code@ref-gpt2`.
            config: the budget and what a direction is worth.
            data: what the Fisher score reads; by default the text of the fit.

        Returns:
            The report: the rank of each map, parameters, shares of the score that are kept.

        Raises:
            InputError: a budget that does not pay for the smallest ranks.
        """
        from transplant.workflows.basis.allocate import AllocateJob, run_allocate

        return run_allocate(self, AllocateJob(name=name, config=config, data=data))

    def adapt_basis(
        self, basis: str, domain: str, *, replace: bool = False, **options: Any
    ) -> dict[str, Any]:
        """Trains an adapter inside a basis that has ranks, and stores it.

        Args:
            basis: its name, as `code@ref-gpt2`.
            domain: what the adapter is about; its text where `data` is not given.
            replace: whether an adapter of that name may go.
            options: the other fields of `workflows.basis.adapt.AdaptJob`.

        Returns:
            The report: parameters, held-out losses, forgetting, seconds.

        Raises:
            ExistsError: a name or a folder is taken.
            InputError: the basis has no ranks.
        """
        from transplant.workflows.basis.adapt import AdaptJob, run_adapt

        return run_adapt(self, AdaptJob(basis=basis, domain=domain, **options), replace=replace)

    def compare_basis(
        self, backbone: str, domain: str, out: str | Path, **options: Any
    ) -> dict[str, Any]:
        """Compares BASIS with PEFT's adapters at one budget, each with its own search of rates.

        Args:
            backbone: its name.
            domain: what it is adapted to; its text where `data` is not given.
            out: the folder of the cells; those that are there are not run again.
            options: the other fields of `workflows.basis.compare.job.CompareJob`.

        Returns:
            The report: for each method its held-out loss, forgetting, seconds and peak memory.

        Raises:
            InputError: PEFT is not installed, or `out` holds another comparison.
        """
        from transplant.workflows.basis.compare.job import CompareJob, run_compare

        job = CompareJob(backbone=backbone, domain=domain, out=Path(out), **options)
        return run_compare(self, job)

    def compress_basis(
        self, basis: str, ratio: float, out: str | Path, **options: Any
    ) -> dict[str, Any]:
        """Writes a backbone whose maps are cut to their leading directions, as a folder.

        Args:
            basis: its name, as `code@ref-gpt2`.
            ratio: the share of the parameters of its maps that is kept.
            out: the folder to be.
            options: the other fields of `workflows.basis.compress.CompressJob`.

        Returns:
            The report: parameters, perplexities before and after, seconds.

        Raises:
            ExistsError: the folder is there.
        """
        from transplant.workflows.basis.compress import CompressJob, run_compress

        job = CompressJob(basis=basis, ratio=ratio, out=Path(out), **options)
        return run_compress(self, job)

    def trace(
        self,
        model: str,
        *,
        targets: str = "auto",
        data: str | None = None,
        pairs: str | None = None,
        config: TraceConfig | None = None,
        prefilter: PrefilterConfig | None = None,
    ) -> dict[str, Any]:
        """Measures what parts of a hosted model are worth; see `workflows.trace.job`.

        Args:
            model: a backbone, or what is hosted on one.
            targets: `auto` for every head and feed-forward part, or names as `head:3.2,ffn:4`.
            data: text; by default the module's domain, else `prose`.
            pairs: in place of text, a file of clean and corrupted texts to patch between.
            config: how it is measured; its seed counts, not the workspace's. By default the mean
                is put in, and nll measured, of pairs the difference of two logits.
            prefilter: gradients choose what is measured exactly; None for all targets.

        Returns:
            The report: targets by their effect, with intervals over documents or pairs.
        """
        from transplant.tracing.config import TraceConfig
        from transplant.workflows.trace.job import run_trace
        from transplant.workflows.trace.spec import TraceJob

        metric = "nll" if pairs is None else "logit-diff"
        job = TraceJob(
            model=model, targets=targets, data=data, pairs=pairs, prefilter=prefilter,
            config=config or TraceConfig(seed=self.seed, metric=metric),
        )  # fmt: skip
        return run_trace(self, job)

    def analyze(
        self,
        bank: str,
        activations: str | Path,
        *,
        against: str | Path | None = None,
        config: AnalysisConfig | None = None,
    ) -> dict[str, Any]:
        """Says what a donor's pieces and hidden states are like; see `workflows.analyze.job`.

        Args:
            bank: the pieces: `NAME`, or `NAME@backbone`.
            activations: a file of its backbone that `capture` made.
            against: one of another backbone on the same text, whose layers are compared.
            config: how much is read.

        Returns:
            The catalog: spectra of maps and states, roles of heads, similarity of layers.
        """
        from transplant.analysis.config import AnalysisConfig
        from transplant.workflows.analyze.job import AnalyzeJob, run_analyze

        job = AnalyzeJob(
            bank=bank, activations=Path(activations),
            against=None if against is None else Path(against),
            config=config or AnalysisConfig(),
        )  # fmt: skip
        return run_analyze(self, job)

    def nib(self, anchor: str, candidate: str, **options: Any) -> dict[str, Any]:
        """The Non-Inferiority Benchmark of two hosted models; see `workflows.nib.nib_report`."""
        from transplant.workflows.nib import nib_report

        return nib_report(self, anchor, candidate, **options)

    def cfgen(self, task: str, out: Path | str, **options: Any) -> dict[str, Any]:
        """Minimal pairs of a grammar in a file; see `workflows.cfgen.generate_pairs`."""
        from transplant.workflows.cfgen import generate_pairs

        return generate_pairs(self, task, out, **options)

    def cfeval(self, model: str, pairs: Path | str, **options: Any) -> dict[str, Any]:
        """Accuracy of a hosted model on minimal pairs; see `workflows.cfeval.evaluate_pairs`."""
        from transplant.workflows.cfeval import evaluate_pairs

        return evaluate_pairs(self, model, pairs, **options)

    def uq(
        self,
        model: str,
        data: str | None = None,
        *,
        baseline: str | None = None,
        config: UqConfig | None = None,
    ) -> UqResult:
        """How sure a hosted model is, and how right; see `workflows.uq.measure_uncertainty`."""
        from transplant.workflows.uq import measure_uncertainty

        return measure_uncertainty(self, model, data, baseline=baseline, config=config)

    def route_sim(self, metrics: Path | str, **options: Any) -> dict[str, Any]:
        """Routing by uncertainty, simulated; see `workflows.route_sim.simulate_route`."""
        from transplant.workflows.route_sim import simulate_route

        return simulate_route(metrics, seed=self.seed, **options)

    def validate(
        self, model: str, baseline: str, *, gates: Path | str | None = None, **options: Any
    ) -> dict[str, Any]:
        """A model against a baseline, by every measure; see `workflows.validate.job`.

        Args:
            model: the hosted model to judge.
            baseline: what it is held against, of the same tokenizer.
            gates: a file of what is tolerated.
            options: of `plan_validation`: `domains`, `general`, `pairs`, `suite`.
        """
        from transplant.workflows.validate.job import plan_validation, run_validation

        return run_validation(self, plan_validation(self, model, baseline, **options), gates)
