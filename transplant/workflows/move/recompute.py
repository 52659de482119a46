"""One recorded move, recomputed from the artifacts that it left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.dtypes import AUTO
from transplant.errors import InputError
from transplant.text.windows import first_windows
from transplant.workflows.corpus import read_alike, read_splits, windows_of
from transplant.workflows.move.native import TRAINED
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.evaluation.likelihood import Corrector
    from transplant.library import HostedName, Library
    from transplant.modules.correction import Correction
    from transplant.modules.hosted import HostedModel
    from transplant.text.windows import Window

CONTROL_TOKENS = 2_000
REPRODUCED, MISMATCH, NEAR = "reproduced", "mismatch", "other text"


def recompute(work: Work, library: Library, move: dict[str, Any]) -> dict[str, Any]:
    """One move: its numbers again, its module's bytes, and the control that must not agree."""
    from transplant.backbones.fingerprint import hash_tensors
    from transplant.evaluation.compare_numbers import OTHER_TEXT, SAME_TEXT, compare_numbers

    hosted, native, donor = load_systems(work, library, move)
    corpus = str(move["made"]["corpus"])
    reach = read_alike(work, move["made"], corpus)
    splits = read_splits(work, corpus, stream_chars=reach)
    same = splits.fingerprint == move["split"]
    windows = windows_of(hosted.backbone, splits.eval, 512, 10**9)
    found, reason = numbers_of(work, move, (hosted, native, donor), windows)
    tolerances = SAME_TEXT if same else OTHER_TEXT
    compared = compare_numbers(recorded_numbers(move), found, tolerances)
    control = control_of(hosted, windows)
    assert hosted.correction is not None
    sides = {"donor": donor, "target": hosted.correction}
    hashes = {side: hash_tensors(c.module.state_dict()) for side, c in sides.items()}
    intact = hashes == move["module_sha256"]
    agrees = intact and control["differs"] and all(number.agrees for number in compared)
    return {
        "donor": move["donor"],
        "name": move["name"],
        "verdict": MISMATCH if not agrees else REPRODUCED if same else NEAR,
        "numbers": [{**number.__dict__, "agrees": number.agrees} for number in compared],
        **reason,
        "module_sha256": {"recorded": move["module_sha256"], "found": hashes, "agrees": intact},
        "control": control,
        "split": {"recorded": move["split"], "found": splits.fingerprint, "same": same},
        "not_recomputed": [name for name in move["ppl"] if f"ppl.{name}" not in found],
        "versions": move["made"].get("versions"),
    }


def load_systems(
    work: Work, library: Library, move: dict[str, Any]
) -> tuple[HostedModel, Correction | None, Correction]:
    """The moved module at work, the native beside it if any, and the donor's own correction.

    Raises:
        InputError: the move ended inside a core.
    """
    from transplant.loading.hosted import host, load
    from transplant.modules.core import CoreHosted

    work.reporter.note(f"loading {move['name']} and {move['donor']}")
    recorded = move["made"].get("dtype", "float32")

    def loaded(name: HostedName) -> HostedModel:
        dtype = recorded if isinstance(recorded, str) else recorded.get(name.backbone, AUTO)
        return load(name, library=library, device=work.device, dtype=dtype)

    hosted, donor_name = loaded(library.split_name(move["name"])), library.split_name(move["donor"])
    if isinstance(hosted, CoreHosted):
        raise InputError(f"{move['name']} is inside a core", expected="a move behind an interface")
    donor = loaded(donor_name)
    assert hosted.correction is not None
    assert donor.correction is not None
    if "native" not in move["ppl"]:
        return hosted, None, donor.correction
    ceiling = _native(library, move, donor_name)
    native = host(hosted.backbone, ceiling, library, hosted.correction.module.d_abi)
    assert native.correction is not None
    return hosted, native.correction, donor.correction


def _native(library: Library, move: dict[str, Any], donor: HostedName) -> str:
    """The native's name: what the record says, else what `abi transfer` looks for."""
    named = move.get("native") or move["made"]["options"].get("native")
    if named and named != TRAINED:
        return named.partition("@")[0]
    assert donor.module is not None
    found = library.find("module", donor.module, donor.backbone, donor.d_abi)
    return found.manifest.domain or donor.module


def numbers_of(
    work: Work,
    move: dict[str, Any],
    loaded: tuple[HostedModel, Correction | None, Correction],
    windows: list[Window],
) -> tuple[dict[str, float | None], dict[str, str]]:
    """What can be computed without a fit, by the names of `recorded_numbers`.

    Args:
        work: library, device, seed and reporter.
        move: the record.
        loaded: moved module, native and donor, as `load_systems` returns them.
        windows: all held-out windows, in the order in which a budget takes them.

    Returns:
        The numbers, and why shares are None where they are.
    """
    from transplant.evaluation.evidence import Ceiling
    from transplant.evaluation.likelihood import score_documents
    from transplant.evaluation.nib import CRITERIA, run_nib
    from transplant.evaluation.scoring import window_rows
    from transplant.modules.correction import Correction
    from transplant.modules.untrained import random_module

    hosted, native, donor = loaded
    candidate, backbone = hosted.correction, hosted.backbone
    assert candidate is not None
    interface, module = candidate.interface, candidate.module
    systems: dict[str, Corrector | None] = {
        "raw": None,
        **({} if native is None else {"native": native}),
        "candidate": candidate,
        "random_module": Correction(interface, random_module(module, move["seed"])),
    }
    if "direct_copy" in move["ppl"]:
        systems["direct_copy"] = donor
    evaluated = first_windows(windows, move["made"]["options"]["eval_tokens"])
    with work.reporter.progress(f"evaluating {move['name']}") as progress:
        scored = score_documents(backbone, evaluated, systems, progress=progress)
    found: dict[str, float | None] = {f"ppl.{name}": x.perplexity for name, x in scored.items()}
    ceiling = Ceiling(scored)
    for name in systems:
        if name not in ("raw", "native"):
            share = ceiling.recovered(name)
            found[f"recovered.{name}"] = None if share is None else share.mean
    if native is not None and move["nib"]["pass"] is not None:
        result = run_nib(
            windows,
            lambda window: window_rows(backbone, native, window),
            lambda window: window_rows(backbone, candidate, window),
        )
        found |= {f"nib.{name}": result.means[name] for name in CRITERIA}
    return found, ceiling.reason


def control_of(hosted: HostedModel, windows: list[Window]) -> dict[str, Any]:
    """The moved module with one tensor's sign flipped, on a few windows: it must not agree."""
    from transplant.evaluation.compare_numbers import SAME_TEXT, sign_flipped
    from transplant.evaluation.likelihood import score_documents
    from transplant.modules.correction import Correction

    assert hosted.correction is not None
    interface, module = hosted.correction.interface, hosted.correction.module
    systems = {
        "candidate": hosted.correction,
        "sign_flipped": Correction(interface, sign_flipped(module)),
    }
    scored = score_documents(hosted.backbone, first_windows(windows, CONTROL_TOKENS), systems)
    ppl = {name: likelihood.perplexity for name, likelihood in scored.items()}
    allowed = SAME_TEXT.of("ppl.candidate", ppl["candidate"])
    differs = abs(ppl["sign_flipped"] - ppl["candidate"]) > allowed
    return {"tokens": CONTROL_TOKENS, "ppl": ppl, "differs": differs}


def recorded_numbers(move: dict[str, Any]) -> dict[str, float | None]:
    """A move's numbers under one name each: `ppl.raw`, `recovered.candidate`, `nib.top5`.

    A `recovered` without a ceiling is None.
    """
    return {
        f"{kind}.{name}": value
        for kind in ("ppl", "recovered", "nib")
        for name, value in move[kind].items()
        if isinstance(value, float) or (value is None and kind == "recovered")
    }
