"""Files that advice reads: a trace of the target, a catalog of the donor, a route to the target."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.advice.measured import Routed
from transplant.errors import CorruptError, InputError, NotFoundError, foreign
from transplant.files.former_keys import with_present_keys
from transplant.files.plain import expand
from transplant.files.strict_json import parse_object

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone

PARTS = {"ffn": "mlp", "attn": "attn", "head": "attn"}
"""Of the kinds of a trace's targets, the part of a block that can be replaced."""


@dataclass(frozen=True)
class Catalogued:
    """What a catalog says of a donor's pieces."""

    bank: str
    pieces: frozenset[str]
    similar: Mapping[int, int] = field(default_factory=dict)
    """Of each layer of the target, the layer of the donor that is most alike."""
    roles: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Of each block of the donor, the roles of its heads."""


def read_impact(path: Path | str, target: Backbone) -> dict[str, float]:
    """Nats per token that each part of the target is worth, by a trace of it.

    Only what was measured and whose interval is above 0 counts; the attention of a block is worth
    as much as the weightiest of its heads, where it was not a target itself.

    Raises:
        NotFoundError: no such file.
        CorruptError: no trace.
        InputError: a trace of another backbone, or by another metric than `nll`.
    """
    report = _read(path, "a trace, as `trace(out='FOLDER')` writes it")
    with foreign(f"{path} is no trace", CorruptError, hint="`trace(out='FOLDER')` again"):
        if report["mode"] != "ablation" or report["metric"] != "nll":
            raise InputError(
                f"{path} does not tell what parts are worth in nats per token",
                expected="an ablation by nll", found=f"{report['mode']} by {report['metric']}",
                hint=f"`trace(model={target.name!r}, metric='nll', out='FOLDER')`",
            )  # fmt: skip
        _check_same(path, report["weights_sha256"], report["backbone"], target)
        found: dict[str, float] = {}
        for row in report["targets"]:
            if row["kind"] not in PARTS:
                continue
            name = f"block.{int(row['layer'])}.{PARTS[row['kind']]}"
            sure = row["measured"] and float(row["interval"][0]) > 0
            found[name] = max(found.get(name, 0.0), float(row["effect"]) if sure else 0.0)
    return found


def read_catalog(path: Path | str, donor: Backbone, target: Backbone) -> Catalogued:
    """What a catalog of the donor says; similar layers where it was made against the target.

    Raises:
        NotFoundError: no such file.
        CorruptError: no catalog.
        InputError: a catalog of another backbone.
    """
    report = _read(path, "a catalog, as `analyze(out='FILE')` writes it")
    with foreign(f"{path} is no catalog", CorruptError, hint="`analyze(out='FILE')` again"):
        if report["catalog"] != 1:
            raise ValueError(f"version {report['catalog']!r}")
        _check_same(path, report["weights_sha256"], report["backbone"], donor)
        roles: dict[int, tuple[str, ...]] = {}
        for row in report["heads"]:
            if row["role"] is not None:
                roles[int(row["layer"])] = (*roles.get(int(row["layer"]), ()), str(row["role"]))
        return Catalogued(
            str(report["bank"]), frozenset(map(str, report["pieces"])), _similar(report, target),
            roles,
        )  # fmt: skip


def read_route(path: Path | str, target: str, moved: Sequence[str]) -> Routed:
    """What a simulated route says of a module that is on the target already.

    Args:
        path: the file.
        target: the name of the raw target, which is the baseline.
        moved: the names of the modules that it may be of.

    Raises:
        NotFoundError: no such file.
        CorruptError: no simulation of a route.
        InputError: it is of another module, or against another baseline.
    """
    report = _read(path, "a route, as `route_sim(out='FOLDER')` writes it")
    with foreign(f"{path} is no route", CorruptError, hint="`route_sim(out='FOLDER')` again"):
        model, baseline = (str(report[name]) for name in ("model", "baseline"))
        plain = re.sub(r"/d[0-9]+\Z", "", model)
        if baseline != target or plain not in moved:
            raise InputError(
                f"{path} is no route from a module of the donor to {target}",
                expected=f"one of {', '.join(moved) or 'what is moved there'}",
                found=f"{model} to {baseline}",
            )
        tau = report["tau"]
        return Routed(
            model=plain, tau=None if tau is None else float(tau),
            coverage=float(report["coverage"]), regress=float(report["regress"]["interval"][1]),
            budget=float(report["budget"]),
        )  # fmt: skip


def _similar(report: Mapping[str, Any], target: Backbone) -> dict[int, int]:
    found = report.get("similarity")
    if found is None or found["against_sha256"] != target.weights_sha256:
        return {}
    best: dict[int, tuple[float, int]] = {}
    for pair in found["pairs"]:
        theirs, candidate = int(pair["theirs"]), (float(pair["cka"]), int(pair["ours"]))
        # The last layer is read by no block.
        if f"heads.{candidate[1]}" in report["pieces"] or f"ffn.{candidate[1]}" in report["pieces"]:
            best[theirs] = max(best.get(theirs, candidate), candidate)
    return {theirs: ours for theirs, (_, ours) in best.items()}


def _read(path: Path | str, expected: str) -> dict[str, Any]:
    place = expand(str(path))
    if not place.is_file():
        raise NotFoundError(f"no file {path}", expected=expected)
    with foreign(f"cannot read {path}", CorruptError, expected=expected):
        return with_present_keys(parse_object(place.read_bytes()))


def _check_same(path: Path | str, sha256: str, name: str, backbone: Backbone) -> None:
    if sha256 != backbone.weights_sha256:
        raise InputError(
            f"{path} is of other weights than {backbone.name}",
            expected=f"sha256 {backbone.weights_sha256[:12]}", found=f"{sha256[:12]}, of {name}",
        )  # fmt: skip
