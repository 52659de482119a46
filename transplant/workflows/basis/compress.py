"""A backbone cut to a share of its parameters, as a `save_pretrained` folder."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from transplant.backbones.written import write_model
from transplant.basis.budget import energy_scores
from transplant.basis.config import ENERGY, FISHER, GRADIENTS, OUTPUTS
from transplant.errors import InputError
from transplant.workflows.basis.allocate import basis_of
from transplant.workflows.basis.scores import change, score_text
from transplant.workflows.basis.spec import CompressJob
from transplant.workflows.basis.stored import check_basis, read_basis
from transplant.workflows.corpus import read_as_needed, windows_of

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.basis.fit import Basis
    from transplant.workflows.basis.stored import StoredBasis
    from transplant.workflows.work import Work

FACTS = "abi.json"
WHOLE = 1.0  # the share of its energy that a whole map keeps


def run_compress(work: Work, job: CompressJob) -> dict[str, Any]:
    """Writes the folder, whole or not at all; weights are dense, in the shapes that they had.

    Directions are worth what `fisher` found, where the basis was allocated by it, else their share
    of a map's energy.

    Returns:
        The report: parameters of the maps before and after as factors, perplexities, seconds.

    Raises:
        ExistsError: the folder is there.
        CorpusError: text that cannot be read, or too little of it.
        InputError: a share that does not pay for the smallest ranks, or a basis whose `max_rank`
            left out directions that a cut may keep.
        BackboneError: weights that are not in memory.
        MemoryLimitError: the copy that is cut does not fit into memory.
    """
    from transplant.basis.compress import (
        check_cut_memory,
        check_directions,
        compressed_ranks,
        parameters_of,
        truncated,
        with_weights,
    )
    from transplant.basis.maps import select_maps
    from transplant.workflows.cores.folders import weights_bytes
    from transplant.workflows.export.place import check_place, new_folder

    hosted, record, _ = check_basis(work, job.basis)
    if record.directions == GRADIENTS:
        raise InputError(
            "`compress` cuts a backbone to directions of its outputs",
            expected=f"a basis with `directions={OUTPUTS!r}`", found=f"{job.basis}, of gradients",
            hint=f"`basis_fit(..., directions={OUTPUTS!r})`",
        )  # fmt: skip
    check_place(job.out, weights_bytes(work, hosted.backbone))
    began = time.monotonic()
    stored = read_basis(work, job.basis)
    backbone, basis = stored.backbone, basis_of(stored)
    backbone.require_weights("a compressed copy")
    maps = select_maps(backbone, str(stored.record.fit["layers"]))
    check_cut_memory(backbone, maps)
    check_directions(maps, basis.spectra, int(stored.record.fit["max_rank"]), job.basis)
    data, window = job.data or stored.corpus, int(stored.record.fit["window"])
    splits = read_as_needed(work, data, evaluation=job.eval_tokens)
    texts = {"text": windows_of(backbone, splits.eval, window, job.eval_tokens)}
    score, scores = _scores(stored, basis)
    values = {name: s.tolist() for name, s in scores.items()}
    whole = None if score == FISHER else WHOLE
    ranks = compressed_ranks(maps, values, job.ratio, job.step, whole)
    cut = {m.name: m for m in maps if ranks[m.name] < m.out}
    weights = (
        (name, truncated(m.weight, basis.spectra[name], ranks[name])) for name, m in cut.items()
    )
    small = with_weights(f"{backbone.name}, cut", backbone, weights)
    before, after = (score_text(work, one, texts)["text"] for one in (backbone, small))
    report = {
        "basis": job.basis, "backbone": backbone.name, "corpus": data,
        "split": splits.fingerprint, "ratio": job.ratio, "score": score,
        "maps": len(maps), "cut": len(cut), "ranks": {n: ranks[n] for n in cut},
        "parameters": {
            "maps": sum(m.out * m.into for m in maps), "kept": parameters_of(maps, ranks),
            "model": sum(p.numel() for p in backbone.model.parameters()),
        },
        "loss": change(before, after), "out": str(job.out),
    }  # fmt: skip
    with new_folder(job.out) as folder:
        write_model(small.model, small.tokenizer, folder)
        (folder / FACTS).write_text(json.dumps(work.made(**report), indent=1) + "\n", "utf-8")
    return {**report, "seconds": time.monotonic() - began}


def _scores(stored: StoredBasis, basis: Basis) -> tuple[str, dict[str, Tensor]]:
    """What directions are worth, and by which score.

    Scores of an allocation before the last one are still stored: they are not what was asked for.
    """
    if (stored.record.allocation or {}).get("score") == FISHER:
        return FISHER, {name: stored.tensors[f"{name}.{FISHER}"] for name in basis.spectra}
    return ENERGY, energy_scores(basis)
