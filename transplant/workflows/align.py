"""Aligning two layers: of two captured files, of two backbones that read a text, or two tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import MoveConfig
from transplant.errors import InputError
from transplant.library import KnownBackbone
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.activations.reader import Activations
    from transplant.alignment.between import Rows
    from transplant.library import BackboneIdentity

TABLE = "embeddings"
CHUNK = 8192  # pairs at a time
HELD_SHARE = 10  # of the shared tokens of two tables every tenth is held out


@dataclass(frozen=True)
class Side:
    """One side: `acts.h5:block.2.mlp.in`, `ref-gpt2:3` or `ref-gpt2:embeddings`."""

    source: str
    tap: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file of captured activations."""
        return Path(self.source).suffix.lower() in (".h5", ".hdf5")


@dataclass(frozen=True)
class PairedSides:
    """What a fit needs: pairs to fit on and pairs to judge on, and whose space is read."""

    fitted: Iterator[Rows] | list[Rows]
    held_out: Iterator[Rows] | list[Rows]
    reads: BackboneIdentity
    facts: dict[str, Any]


def check_between(config: MoveConfig, **of_a_module: object) -> None:
    """Refuses what a map between two layers has no use for.

    Args:
        config: as it was asked for; excerpts and seed count.
        of_a_module: what names a module's move, by parameter.

    Raises:
        InputError: it names the parameter.
    """
    plain = MoveConfig(excerpts=config.excerpts, seed=config.seed)
    given = {name: value is not None for name, value in of_a_module.items()}
    given |= {name: value != getattr(plain, name) for name, value in vars(config).items()}
    if idle := [f"`{name}`" for name, counts in given.items() if counts]:
        raise InputError(
            f"`between` has no use for {', '.join(idle)}",
            expected="at most `data`, `method`, `excerpts` and `name`",
        )


def parse_side(text: str) -> Side:
    """Reads one of the two names of `between`.

    Raises:
        InputError: no colon in it.
    """
    source, colon, tap = text.rpartition(":")
    if not colon or not source or not tap:
        raise InputError(
            "`between`", expected="FILE.h5:TAP, BACKBONE:TAP or BACKBONE:embeddings", found=text
        )
    return Side(source, tap)


def pair_sides(work: Work, a: Side, b: Side, data: str, excerpts: int) -> PairedSides:
    """Pairs the rows of both sides by what they have read, or the tokens that both have.

    Raises:
        InputError: sides of different kinds.
    """
    if a.is_file != b.is_file or (a.tap == TABLE) != (b.tap == TABLE):
        raise InputError(
            "`between`", expected="two files, two layers or two tables",
            found=f"{a.source}:{a.tap} and {b.source}:{b.tap}",
        )  # fmt: skip
    if a.is_file:
        return _files(work, a, b)
    if a.tap == TABLE:
        return _tables(work, a, b)
    return _layers(work, a, b, data, excerpts)


def _files(work: Work, a: Side, b: Side) -> PairedSides:
    from transplant.activations.match_files import aligned_pairs
    from transplant.text.splits import split_of_digest

    with work.activations(a.source) as one, work.activations(b.source) as other:
        rows_a, rows_b = aligned_pairs(one, other)
        documents = one.document[one.tokens().windows[rows_a].numpy()]
        train = [split_of_digest(one.digests[n]) == "train" for n in documents]
        rows: dict[bool, list[Rows]] = {True: [], False: []}
        for start in range(0, len(rows_a), CHUNK):
            place = slice(start, start + CHUNK)
            x, y = _rows(one, a.tap, rows_a[place]), _rows(other, b.tap, rows_b[place])
            for side, kept in rows.items():
                mask = [flag is side for flag in train[place]]
                kept.append((x[mask], y[mask]))
        header = one.header
        reads = KnownBackbone(
            name=header.backbone,
            family=header.family,
            d_model=header.widths[header.taps.index(a.tap)],
            weights_sha256=header.backbone_sha256,
            tokenizer_sha256=header.tokenizer_sha256,
            config_sha256=header.config_sha256,
        )
        facts = {
            "corpus_fingerprint": header.corpus_fingerprint,
            "to_weights": other.header.backbone_sha256,
            "to_config": other.header.config_sha256,
        }
    return PairedSides(rows[True], rows[False], reads, facts)


def _rows(acts: Activations, tap: str, numbers: Any) -> Any:
    first, last = int(numbers.min()), int(numbers.max())
    return acts.tap(tap, first, last + 1)[numbers - first].float()


def _layers(work: Work, a: Side, b: Side, data: str, excerpts: int) -> PairedSides:
    from transplant.activations.capture import Taps, read_taps
    from transplant.calibration.windows_together import paired_windows, window_ends
    from transplant.text.excerpts import cut_excerpts
    from transplant.text.limits import EXCERPT_TOKENS
    from transplant.text.offsets import match_positions
    from transplant.workflows.corpus import read_as_needed

    one, other = work.backbone(a.source), work.backbone(b.source)
    held_out = max(1, excerpts // 5)
    splits = read_as_needed(
        work, data, 8_000_000,
        train=EXCERPT_TOKENS * excerpts, calibration=EXCERPT_TOKENS * held_out,
    )  # fmt: skip

    def rows(side: str, keep: int) -> Iterator[Rows]:
        cut = cut_excerpts(getattr(splits, side))
        for left, right in paired_windows(one, other, cut[:: max(1, len(cut) // keep)][:keep]):
            x = read_taps(one, left, Taps((a.tap,)))[a.tap]
            y = read_taps(other, right, Taps((b.tap,)))[b.tap]
            rows_x, rows_y = match_positions(*window_ends(one, left), *window_ends(other, right))
            yield x[rows_x], y[rows_y]

    facts = {
        "corpus": data,
        "split": splits.fingerprint,
        "to_weights": other.weights_sha256,
        "to_config": other.config_sha256,
    }
    return PairedSides(rows("train", excerpts), rows("calibration", held_out), one, facts)


def _tables(work: Work, a: Side, b: Side) -> PairedSides:
    import torch

    from transplant.surgery.embeddings.vocabulary import input_table
    from transplant.workflows.token_map import stored_map

    one, other = work.backbone(a.source), work.backbone(b.source)
    spelled, origin = stored_map(work, one, other)
    ids_a, ids_b = spelled.pairs()
    names = other.tokenizer.convert_ids_to_tokens(ids_b.tolist())
    draws = [hashlib.sha256(str(name).encode()).digest()[0] % HELD_SHARE for name in names]
    held = torch.tensor([draw == 0 for draw in draws])
    x, y = input_table(one)[ids_a].float(), input_table(other)[ids_b].float()
    facts = {
        "token_map": origin,
        "to_weights": other.weights_sha256,
        "to_config": other.config_sha256,
    }
    return PairedSides([(x[~held], y[~held])], [(x[held], y[held])], one, facts)


def _reader_of(side: Side) -> str:
    """The backbone that a bridge from this side belongs to, without loading it."""
    from transplant.activations.reader import Activations

    if not side.is_file:
        return side.source
    with Activations.open(Path(side.source)) as acts:
        return acts.header.backbone


def align_between(
    work: Work, between: tuple[str, str], data: str, method: str, excerpts: int, name: str,
    *, replace: bool,
) -> dict[str, Any]:  # fmt: skip
    """Fits the map, stores it as a bridge of the backbone that is read, and reports it."""
    from transplant.alignment.between import fit_between

    a, b = map(parse_side, between)
    work.library.claim(("bridge",), name, _reader_of(a), None, replace=replace)
    paired = pair_sides(work, a, b, data, excerpts)
    fit = fit_between(paired.fitted, paired.held_out, method)
    results = {
        "method": method,
        "pairs": fit.pairs,
        "held_out_pairs": fit.held_out,
        "r2": fit.r2,
        "cosine_before": fit.cosine[0],
        "cosine_after": fit.cosine[1],
        "mse_before": fit.mse[0],
        "mse_after": fit.mse[1],
    }
    align = {"from": [paired.reads.name, a.tap], "to": [b.source, b.tap], **paired.facts}
    sides = {
        "to_backbone": paired.facts["to_weights"], "to_config": paired.facts["to_config"],
    }  # fmt: skip
    tensors = {"weight": fit.bridge.weight, "bias": fit.bridge.bias}
    entry = work.library.store(
        "bridge", name, tensors, backbone=paired.reads, made=work.made(align=align),
        results=results, replace=replace,
        parents={role: sha256 for role, sha256 in sides.items() if sha256},
    )  # fmt: skip
    return {"name": f"{name}@{paired.reads.name}", "from": between[0], "to": between[1], **results,
            **paired.facts, "made": dict(entry.manifest.made), "path": str(entry.path)}  # fmt: skip
