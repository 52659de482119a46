"""The front door of the library: names in, models, artifacts and reports out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.evidence.workspace import EvidenceWorkspace
from transplant.recipes.workspace import RecipeWorkspace
from transplant.workflows.basis.workspace import BasisWorkspace

if TYPE_CHECKING:
    from transplant.calibration.config import MoveConfig
    from transplant.calibration.students.recipe import LoraRecipe
    from transplant.training.config import TrainConfig
    from transplant.workflows.move.whole import WholeMove
    from transplant.workflows.tuned.taught import WholeTaughtMove
    from transplant.workflows.tuned.whole import WholeTunedMove


@dataclass(frozen=True, kw_only=True)
class Workspace(BasisWorkspace, EvidenceWorkspace, RecipeWorkspace):
    """A library of artifacts, a device, a seed, and somebody to report to; see `JobSetting`."""

    def train(
        self,
        backbone: str,
        domain: str,
        *,
        data: str | None = None,
        name: str | None = None,
        config: TrainConfig | None = None,
        eval_tokens: int = 40_000,
        also_eval: Mapping[str, str] | None = None,
        resume: bool = False,
        replace: bool = False,
    ) -> dict[str, Any]:
        """Trains a domain module and its interface on a frozen backbone, and stores both.

        Args:
            backbone: its name.
            domain: what the module is about; its name where none is given.
            data: the domain's text, several sources as `A,B`; by default the corpus that is called
                as the domain.
            name: the module's name in the library.
            config: the recipe; its seed counts, not the workspace's.
            eval_tokens: held-out tokens to evaluate on.
            also_eval: other sources of the domain to evaluate on, too, by name.
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
        job = TrainJob(backbone, domain, data, name, config, eval_tokens, also_eval=also_eval or {})
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
        text_free: bool = False,
        general: str | None = None,
    ) -> WholeMove:
        """A move of a module to another backbone; its steps run when they are first asked for.

        Args:
            module: the hosted module, as `python@ref-gpt2`.
            to: the target backbone.
            pair_on: the text to pair on; `donor` for text that the donor generates.
            domain_data: the domain's text; by default what the module was trained on.
            config: how to fit.
            name: of the moved module; by default `<module>-from-<donor>`.
            text_free: whether what the donor writes, which is synthetic, stands in for the domain's
                text wherever something is learned or chosen.
            general: a module of general text in the donor, as `prose@ref-gpt2`: how much of the
                donor's change it explains is reported; `config.less_general` of it is taken away.
        """
        from transplant.calibration.config import MoveConfig
        from transplant.workflows.move.whole import WholeMove

        config = config or MoveConfig(seed=self.seed)
        return WholeMove(
            self, module, to, pair_on, domain_data, config, name, text_free=text_free,
            general=general,
        )  # fmt: skip

    def move_tuned(
        self,
        donor: str,
        tuned: str,
        to: str,
        *,
        domain: str,
        student: str = "linear",
        students: Sequence[str] | None = None,
        pair_on: str = "prose",
        domain_data: str | None = None,
        config: MoveConfig | None = None,
        name: str | None = None,
        other_base: bool = False,
        lora: LoraRecipe | None = None,
        basis: str | None = None,
        text_free: bool = False,
        general: str | None = None,
    ) -> WholeTunedMove:
        """A move of what a LoRA or a fine-tuned model learned; its steps run when asked for.

        Args:
            donor: the base that was tuned.
            tuned: the tuned copy: a folder that PEFT or `save_pretrained` wrote, a hub id, a
                backbone of the library, or what is hosted on the base, as `law@ref-gpt2`.
            to: the target backbone.
            domain: what the tuned copy is about; the text of that name where none is given.
            student: what learns from it in the target.
            students: of the student `auto`: those that are tried, as `("linear", "lora")`; None for
                all but a LoRA on a CPU, of which every step runs all of the target.
            pair_on: the text to pair on; `donor` for text that the tuned copy generates.
            domain_data: the domain's text: counted, to choose gains by, and to judge on.
            config: how to fit.
            name: of the student; by default `<tuned>-from-<donor>`.
            other_base: whether a LoRA that was trained on another base is meant.
            lora: the recipe of the student `lora`.
            basis: of the student `basis`: one of the target, as `code@ref-llama`.
            text_free: as for `move`; first tokens are drawn from the counts that a module of the
                library carries.
            general: as for `move`.

        Raises:
            InputError: no such student.
        """
        from transplant.calibration.config import MoveConfig
        from transplant.calibration.students.recipe import LoraRecipe
        from transplant.workflows.tuned.whole import WholeTunedMove

        config = config or MoveConfig(seed=self.seed)
        return WholeTunedMove(
            self, tuned, to, pair_on, domain_data, config, name,
            base=donor, domain=domain, student=student,
            students=None if students is None else tuple(students), other_base=other_base,
            lora=lora or LoraRecipe(), basis=basis, text_free=text_free, general=general,
        )  # fmt: skip

    def move_taught(
        self, teachers: Sequence[str], to: str, *, domain: str, student: str = "linear",
        students: Sequence[str] | None = None, pair_on: str = "prose",
        domain_data: str | None = None, config: MoveConfig | None = None,
        name: str | None = None, other_base: bool = False, lora: LoraRecipe | None = None,
        text_free: bool = False,
    ) -> WholeTaughtMove:  # fmt: skip
        """A move of what several donors learned, as one teacher: their changes are averaged.

        Args:
            teachers: two or more parts of the library, as `python@ref-gpt2`, or tuned copies as
                `move_tuned` takes them, as `./my-lora@ref-gpt2`; on one backbone or on several, of
                one tokenizer or not.
            to: the target backbone.
            domain: what they are about; the other parameters are those of `move_tuned`.
            student: what learns from them in the target.
            students: as for `move_tuned`.
            pair_on: the text to pair on; `donor` for text that they generate, each an equal part.
            domain_data: the domain's text.
            config: how to fit.
            name: of the student; by default `<domain>-from-<number>-teachers`.
            other_base: whether LoRAs that were trained on another base are meant.
            lora: the recipe of the student `lora`.
            text_free: as for `move_tuned`.

        Raises:
            InputError: fewer than two teachers, one without its base, or no such student.
        """
        from transplant.calibration.config import MoveConfig
        from transplant.calibration.students.recipe import LoraRecipe
        from transplant.workflows.tuned.taught import WholeTaughtMove

        names = tuple(teachers)
        return WholeTaughtMove(
            self, ",".join(names), to, pair_on, domain_data, config or MoveConfig(seed=self.seed),
            name, base=",".join(names), domain=domain, student=student, teachers=names,
            students=None if students is None else tuple(students), other_base=other_base,
            lora=lora or LoraRecipe(), text_free=text_free,
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

    def merge(
        self,
        recipe: str | Path,
        name: str,
        *,
        remote: Sequence[str] = (),
        domains: Mapping[str, str] | None = None,
        general: Mapping[str, str] | None = None,
        suite: str = "quick",
    ) -> dict[str, Any]:
        """Merges whole models by a recipe of mergekit; see `merging.job.run_merge`.

        Args:
            recipe: the file; it names backbones of the library, folders, and hub ids.
            name: of the merged backbone, in the library.
            remote: the hub ids that may be fetched; no other is.
            domains: texts that it is for, by name; by default those of what its parents host.
            general: texts that it must not get worse on, by name; by default `prose`.
            suite: how much is measured, `quick` or `full`.
        """
        from transplant.merging.job import run_merge
        from transplant.merging.spec import MergeJob

        job = MergeJob(
            recipe=Path(recipe), name=name, remote=tuple(remote), domains=domains or {},
            general={"prose": "prose"} if general is None else general, suite=suite,
        )  # fmt: skip
        return run_merge(self, job)

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
