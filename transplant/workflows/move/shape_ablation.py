"""The ablation of shapes: one move for each width of the shared space and each way to tap."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from transplant.errors import InputError, NotFoundError
from transplant.workflows.move.evidence import transfer_report
from transplant.workflows.move.move import Move
from transplant.workflows.move.native import native_recipe_of
from transplant.workflows.train.module import TrainJob, run_train_job

ONE, ALL = (-1,), ()
SHAPES: dict[str, dict[str, Any]] = {
    "d64": {"d_abi": 64},
    "d128": {"d_abi": 128},
    "d256": {"d_abi": 256},
    "d512": {"d_abi": 512},
    "d1024": {"d_abi": 1024},
    "one-tap": {"taps": ONE, "tap_norms": False},
    "one-tap-normed": {"taps": ONE, "tap_norms": True},
    "all-taps": {"taps": ALL, "tap_norms": False},
    "all-taps-normed": {"taps": ALL, "tap_norms": True},
}
"""What differs from the recipe of the module that is named, on both sides of the move."""
SHARES = ("candidate", "random_module", "linear_surrogate", "random_refitted")


@dataclass(frozen=True)
class ShapeRuns:
    """Modules of one recipe but for their shape: trained, moved and weighed one by one.

    What is trained stays in the registry under `<module>-<shape>-<seed>` and is used again.

    Args:
        move: a move of the module whose recipe is varied; it is not carried out.
        eval_tokens: held-out tokens to judge on.
    """

    move: Move
    eval_tokens: int

    def row(self, shape: str, seed: int) -> dict[str, Any]:
        """Trains donor and native of a shape, moves the donor's module, and weighs it."""
        changes = SHAPES[shape]
        move, manifest = self.move, self.move.manifest
        recipe = dataclasses.replace(native_recipe_of(manifest), seed=seed, **changes)
        name = f"{manifest.name}-{shape}-{seed}"
        work = dataclasses.replace(move.work, seed=seed)
        home = work.called(manifest.backbone)
        for backbone in (home, move.to):
            try:
                work.library.find("module", name, backbone, recipe.d_abi)
            except NotFoundError:
                run_train_job(
                    work,
                    TrainJob(
                        backbone, manifest.domain or manifest.name, move.domain_source, name,
                        recipe, self.eval_tokens,
                    ),
                )  # fmt: skip
        reading = {key: changes[key] for key in ("taps", "tap_norms") if key in changes}
        config = dataclasses.replace(move.config, seed=seed, **reading)
        donor = f"{name}@{home}"
        moved = Move(work, donor, move.to, move.data, move.domain_data, config)
        report = transfer_report(moved, name, self.eval_tokens)
        recovered = {key: report["recovered"][key] for key in SHARES}
        return {
            "shape": shape,
            "seed": seed,
            "d_abi": recipe.d_abi,
            "taps": list(moved.donor_correction.taps),
            "module_parameters": sum(p.numel() for p in moved.donor_correction.module.parameters()),
            "donor_ppl": work.module_manifest(donor).results["ppl"],
            "ppl": {key: report["ppl"][key] for key in ("raw", "native", "candidate")},
            "recovered": recovered,
            "interval": report["interval"]["recovered"]["candidate"],
            "donor_attributable": report["donor_attributable"],
            "module_attributable": report["module_attributable"],
            "nib": report["nib"],
            "r2": report["bridge"]["r2"],
            **{key: report[key] for key in ("no_ceiling",) if key in report},
        }


def check_shapes(shapes: tuple[str, ...]) -> None:
    """Refuses a shape that is not in the table.

    Raises:
        InputError: naming it.
    """
    if unknown := [shape for shape in shapes if shape not in SHAPES]:
        raise InputError("`only`", expected=f"of {', '.join(SHAPES)}", found=", ".join(unknown))


def shapes_report(
    move: Move, eval_tokens: int, shapes: tuple[str, ...], seeds: int
) -> dict[str, Any]:
    """One row for each shape and seed, judged on the same held-out documents."""
    runs, first = ShapeRuns(move, eval_tokens), move.work.seed
    rows = [runs.row(shape, seed) for seed in range(first, first + seeds) for shape in shapes]
    return {
        "ablation": "shapes",
        "donor": move.module,
        "target": move.to,
        "rows": rows,
        "eval_tokens": eval_tokens,
        "split": move.domain_split,
        "made": move.facts(),
        "seconds": move.seconds,
    }
