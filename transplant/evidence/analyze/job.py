"""An analysis, from a bank and a file of activations to a catalog."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from transplant.evidence.analyze.heads import head_rows
from transplant.evidence.analyze.layers import similarity_report
from transplant.evidence.analyze.spec import AnalyzeJob
from transplant.files.results import write_json
from transplant.files.writable import check_writable
from transplant.workflows.inject.banks import find_bank, read_bank
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.activations.reader import Activations
    from transplant.surgery.bank.piece import Bank

CATALOG = 1
"""The version of a catalog's form."""


def run_analyze(work: Work, job: AnalyzeJob) -> dict[str, Any]:
    """Measures the pieces of a bank and the activations of its backbone.

    Args:
        work: library, device, seed and reporter.
        job: what is analysed.

    Returns:
        The catalog: spectra of maps and states, the role of each head, and how alike the layers of
        two backbones are; where it is asked for, the file that it was written to.

    Raises:
        NotFoundError: no such bank or file.
        InputError: activations of another backbone than the bank's, or of pooled windows.
        CorpusError: too little text to hold some out, or none that both files have read.
    """
    if job.out is not None:
        check_writable(job.out)
    began = time.monotonic()
    entry = find_bank(work, job.bank)
    record = entry.manifest.backbone
    with work.activations(job.activations) as acts:
        acts.check_made_by(record, record.id)
        acts.check_holds(())
        other = None if job.against is None else work.activations(job.against)
        try:
            if other is not None:
                other.check_holds(())
            bank = read_bank(work, entry)
            with work.reporter.progress(f"analysing {job.bank}") as progress:
                found = {
                    "pieces": piece_rows(bank),
                    "taps": tap_rows(acts, job.config.rows),
                    "heads": head_rows(work, bank, acts, job.config, progress),
                }
                if other is not None:
                    found["similarity"] = similarity_report(acts, other, job.config, work.seed)
        finally:
            if other is not None:
                other.close()
        header = acts.header
    catalog = {
        "catalog": CATALOG,
        "bank": entry.manifest.name,
        "backbone": record.id,
        "weights_sha256": record.weights_sha256,
        "activations": str(job.activations),
        "corpus": header.corpus,
        "corpus_fingerprint": header.corpus_fingerprint,
        **found,
        "seconds": round(time.monotonic() - began, 2),
        "made": work.made(config=dataclasses.asdict(job.config)),
    }
    if job.out is None:
        return catalog
    write_json(job.out, catalog)
    return {**catalog, "file": str(job.out)}


def piece_rows(bank: Bank) -> dict[str, dict[str, Any]]:
    """The spectrum of each matrix of each piece."""
    from transplant.analysis.spectra import piece_spectra

    return {
        name: {
            part: dataclasses.asdict(spectrum)
            for part, spectrum in piece_spectra(piece.state_dict()).items()
        }
        for name, piece in bank.pieces.items()
    }


def tap_rows(acts: Activations, rows: int) -> dict[str, dict[str, Any]]:
    """The spectrum of the hidden states at each tap, first positions of windows left out."""
    from transplant.analysis.spectra import state_spectrum
    from transplant.evidence.analyze.layers import inner_rows, read_rows, spread

    chosen = spread(inner_rows(acts), rows)
    found = {}
    for tap in acts.header.taps:
        states = read_rows(acts, tap, chosen).double()
        states -= states.mean(0)
        found[tap] = dataclasses.asdict(state_spectrum(states.T @ states / len(states)))
    return found
