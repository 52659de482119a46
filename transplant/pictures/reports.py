"""A picture for a verb's report, written as PNG, SVG or a page of HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.files.former_keys import with_present_keys
from transplant.files.results import write_file
from transplant.files.writable import check_writable
from transplant.pictures.coverage import draw_coverage
from transplant.pictures.evidence import (
    draw_ablation,
    draw_invariance,
    draw_rounds,
    draw_transfer,
)
from transplant.pictures.figures import as_png, as_svg, require_matplotlib
from transplant.pictures.layers import draw_layers
from transplant.pictures.losses import draw_losses
from transplant.pictures.nib import draw_nib
from transplant.pictures.page import fill, require_plotting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from transplant.progress import Reporter

FORMATS = (".png", ".svg", ".html")
PICTURES: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "transfer": draw_transfer,
    "nib": draw_nib,
    "ablate": draw_ablation,
    "invariance": draw_invariance,
    "succession": draw_rounds,
    "advise": draw_layers,
    "tokenize_align": draw_coverage,
    **dict.fromkeys(("train", "train_core", "calibrate", "basis_adapt", "show"), draw_losses),
}
"""What is drawn of the report of a verb."""


def check_picture(path: Path) -> None:
    """Refuses before the work a picture that could not be written after it.

    Raises:
        InputError: another ending than those of `FORMATS`, or something else of that name.
        StorageError: it may not be written there.
        TransplantError: the extra `plot` is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"the picture {path}", expected=f"a file that ends in {', '.join(FORMATS)}",
            found=path.suffix or "no ending",
        )  # fmt: skip
    (require_plotting if path.suffix.lower() == ".html" else require_matplotlib)()
    check_writable(path)


def write_picture(path: Path, verb: str, report: Mapping[str, Any]) -> str:
    """Draws the report of a verb into a file and returns its path.

    Args:
        path: the file; its ending says in which form.
        verb: one of `PICTURES`.
        report: as the verb gives it with `--json`, or an earlier version gave it.

    Raises:
        InputError, StorageError, TransplantError: as of `check_picture`.
    """
    check_picture(path)
    figure = PICTURES[verb](with_present_keys(dict(report)))
    write_file(path, _bytes_of(figure, path.suffix.lower(), verb))
    return str(path)


def draw_run(
    path: Path, verb: str, report: Mapping[str, Any], losses: Mapping[str, Any], told: Reporter
) -> str | None:
    """Draws what a run has reported; None where a fit took no step that could be drawn.

    Args:
        path: the picture to be; see `check_picture`.
        verb: what was run.
        report: of it.
        losses: of its steps, which the picture of a training is of.
        told: is warned where nothing is drawn.

    Returns:
        The path.
    """
    if PICTURES[verb] is draw_losses and verb != "show" and not losses:
        told.warn(f"nothing was trained by steps: {path} is not written")
        return None
    return write_picture(path, verb, {**report, **({"losses": losses} if losses else {})})


def _bytes_of(figure: Figure, form: str, verb: str) -> bytes:
    if form == ".png":
        return as_png(figure)
    if form == ".svg":
        return as_svg(figure, transparent=False).encode()
    return fill("picture", title=verb.replace("_", " "), plot=as_svg(figure)).encode()
