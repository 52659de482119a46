"""The part of the front door that adapts a backbone inside the directions that it uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.validation import check_several
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.basis.config import AllocateConfig, FitConfig


class BasisWorkspace(Work):
    """The acts of BASIS, by names; see `Workspace`."""

    def fit_basis(
        self,
        backbone: str,
        data: str,
        name: str,
        *,
        config: FitConfig | None = None,
        retain: str | None = None,
        layer_at_a_time: bool = False,
        replace: bool = False,
    ) -> dict[str, Any]:
        """Fits the directions that each linear map of a backbone uses on text, and stores them.

        Args:
            backbone: its name.
            data: the calibration text; its training split is read.
            name: of the basis, an artifact of the kind `basis`.
            config: the recipe.
            retain: of directions of gradients, the text that an adapter is to leave as it is; None
                for prose.
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
            retain=retain, layer_at_a_time=layer_at_a_time,
        )  # fmt: skip
        with self.library.attempt():
            return run_fit(self, job, replace=replace)

    def allocate_basis(
        self,
        name: str,
        config: AllocateConfig,
        *,
        data: str | None = None,
        layer_at_a_time: bool = False,
        out: str | Path | None = None,
    ) -> dict[str, Any]:
        """Gives the maps of a stored basis their ranks; see `workflows.basis.allocate`.

        Args:
            name: the basis, as `code@ref-gpt2`.
            config: the budget and what a direction is worth.
            data: what the Fisher score reads; by default the text of the fit.
            layer_at_a_time: whether all but one layer stays on the disk.
            out: a folder for the ranks as JSON, plot and page.

        Returns:
            The report: the rank of each map, parameters, shares of the score that are kept.

        Raises:
            InputError: a budget that does not pay for the smallest ranks.
        """
        from transplant.workflows.basis.allocate import AllocateJob, run_allocate

        job = AllocateJob(
            name=name, config=config, data=data, layer_at_a_time=layer_at_a_time,
            out=None if out is None else Path(out),
        )  # fmt: skip
        with self.library.attempt():
            return run_allocate(self, job)

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

        if options.get("peft") is not None:
            options["peft"] = Path(options["peft"])
        job = AdaptJob(basis=basis, domain=domain, **options)
        with self.library.attempt():
            return run_adapt(self, job, replace=replace)

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
            The report: for each method its held-out loss, forgetting, seconds and peak memory; the
            files `compare.json` and `compare.png` in `out`.

        Raises:
            InputError: PEFT is not installed, or `out` holds another comparison.
        """
        from transplant.workflows.basis.compare.job import CompareJob, run_compare

        check_several(methods=options.get("methods"))
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
