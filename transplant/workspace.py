"""The front door of the library: names in, models, artifacts and reports out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.evidence.workspace import EvidenceWorkspace
from transplant.recipes.workspace import RecipeWorkspace
from transplant.validation import check_several
from transplant.workflows.basis.workspace import BasisWorkspace
from transplant.workflows.tuned.workspace import MoveWorkspace

if TYPE_CHECKING:
    from transplant.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Workspace(MoveWorkspace, BasisWorkspace, EvidenceWorkspace, RecipeWorkspace):
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
        with self.library.attempt():
            return run_train_job(self, job, resume=resume, replace=replace)

    def paste(
        self, source: str, to: str, modules: Sequence[str] | None = None, **options: Any
    ) -> dict[str, Any]:
        """Copies modules from core to core as bytes; see `workflows.paste.run_paste`."""
        from transplant.workflows.paste import PasteJob, run_paste

        check_several(modules=modules)
        job = PasteJob(source, to, None if modules is None else tuple(modules), **options)
        with self.library.attempt():
            return run_paste(self, job)

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

        with self.library.attempt():
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

        check_several(remote=remote)
        job = MergeJob(
            recipe=Path(recipe), name=name, remote=tuple(remote), domains=domains or {},
            general={"prose": "prose"} if general is None else general, suite=suite,
        )  # fmt: skip
        with self.library.attempt():
            return run_merge(self, job)

    def export(
        self,
        name: str,
        out: str | Path,
        *,
        form: str | None = None,
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
                layer; `safetensors`, plain tensors and their equation; None for `lora` of a
                LoRA, and `transformers` of all else.
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
