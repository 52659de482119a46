"""The evidence of one move: controls, native ceiling, NIB, as a report and as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transplant.validation import check_held
from transplant.workflows.cores.modules_inside import module_records
from transplant.workflows.corpus import windows_of
from transplant.workflows.move.ceiling import ceiling_of
from transplant.workflows.move.move import Move
from transplant.workflows.move.native import ceiling_correction, check_native
from transplant.workflows.move.other_sources import evaluate_others, read_others
from transplant.workflows.nib import nib_against

if TYPE_CHECKING:
    from transplant.evaluation.likelihood import Corrector
    from transplant.modules.correction import Correction


def transfer_report(
    move: Move, native: str | None, eval_tokens: int, also_eval: Mapping[str, str] | None = None,
    *, beside: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Everything that a transfer's JSON holds (DESIGN, section 7).

    Args:
        move: the move.
        native: the name of its ceiling; `train` for the domain's, `none` for no ceiling.
        eval_tokens: held-out tokens to judge on.
        also_eval: other sources of the domain, by name.
        beside: whether donor and target are run side by side, too: the ceiling of the move.
    """
    from transplant.backbones.fingerprint import hash_tensors
    from transplant.evaluation.evidence import weigh
    from transplant.evaluation.likelihood import score_documents
    from transplant.workflows.move.controls import build_controls

    check_held(eval_tokens)
    move.donor  # noqa: B018  what cannot be moved fails before the long work
    move.general_part  # noqa: B018  a module that is not there, too
    move.check_text()
    move.check_memory()
    others = read_others(move, also_eval, eval_tokens)
    if beside:
        check_native(native, "the ceiling of both models side by side")
    ceiling = ceiling_correction(move, native)
    candidate = move.calibrated
    with move.step("controls") as progress:
        controls = build_controls(
            move.pairing, move.bridge.interface, move.wanted, candidate,
            move.calibration_text, move.choice.config, progress=progress,
        )  # fmt: skip
        controls |= other_domains(move)
    systems: dict[str, Corrector | None] = {
        "raw": None,
        **({} if ceiling is None else {"native": ceiling}),
        "candidate": candidate.correction,
        **controls,
    }
    windows = windows_of(move.target, move.domain_text.eval, 512, eval_tokens)
    with move.step("evaluate") as progress:
        likelihoods = score_documents(move.target, windows, systems, progress=progress)
    with move.step("nib") as progress:
        chunks = windows_of(move.target, move.domain_text.eval, 512, 10**9)
        nib = nib_against(move.target, chunks, ceiling, candidate.correction, progress=progress)
    weighed = weigh(likelihoods, ceiling=ceiling is not None)
    best = (weighed.best_donor_free, weighed.best_module_free)
    shown = ("raw", "native", "candidate", *best)
    judged = {name: systems[name] for name in dict.fromkeys(shown) if name in systems}
    sources = evaluate_others(move, others, judged, eval_tokens)
    if beside and ceiling is not None:
        sources["ceiling"] = ceiling_of(
            move, ceiling, candidate.correction, move.choice.donor_mix, eval_tokens
        )
    return {
        "donor": move.module,
        "target": move.to,
        "name": f"{move.moved_name}@{move.to}",
        "seed": move.work.seed,
        **weighed.as_dict(),
        **sources,
        "nib": nib,
        "module_sha256": {
            "donor": move.manifest.sha256,
            "target": hash_tensors(candidate.correction.module.state_dict()),
        },
        "gain": candidate.gain,
        "tried": [dataclasses.asdict(way) for way in move.choice.tried],
        "token_coverage": move.output_map.shared.coverage,
        "bridge": dataclasses.asdict(move.bridge.quality),
        "split": move.domain_text.fingerprint,
        **move.text_facts,
        **move.general_facts,
        "made": move.facts(),
        "seconds": move.seconds,
    }


def other_domains(move: Move) -> dict[str, Correction]:
    """Modules of other domains on the donor, or inside it, under the same maps."""
    from transplant.modules.forms import module_from_tensors
    from transplant.workflows.move.controls import under_same_maps

    registry, manifest = move.work.library, move.manifest
    others = {
        entry.manifest.name: module_from_tensors(registry.read(entry)).eval()
        for entry in registry.choices("module", manifest.backbone.id)
        if entry.manifest.d_abi == manifest.d_abi
        and entry.manifest.domain != manifest.domain
        and "donor_backbone" not in entry.manifest.parents
    }
    for name, record in module_records(move.work.library, manifest.backbone.id).items():
        if record["domain"] != manifest.domain:
            inside = move.work.load(f"{name}@{manifest.backbone.id}").correction
            assert inside is not None
            others[name] = inside.module
    return dict(under_same_maps(move.calibrated, others))
