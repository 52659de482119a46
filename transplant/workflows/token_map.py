"""Token maps in the registry, and what two tokenizers have in common on a text."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transplant.alignment.token_map import TokenMap
    from transplant.backbones.view import Backbone
    from transplant.text.documents import Document
    from transplant.workflows.work import Work


def map_name(source: str) -> str:
    """What a map from the tokens of `source` is called by default."""
    return "from-" + re.sub(r"[^A-Za-z0-9._-]+", "-", source.rstrip("/").split("/")[-1])


def align_tokens(
    work: Work,
    source: str,
    to: str,
    data: str,
    characters: int,
    name: str | None = None,
    *,
    replace: bool = False,
) -> dict[str, Any]:
    """Spells the tokens of one backbone in those of another, stores the map and reports it.

    Args:
        work: library, device, seed and reporter.
        source: the backbone to spell in.
        to: the backbone whose tokens are spelled.
        data: the text to count on: prose, python, a file, a folder, a data set.
        characters: characters of that text, at most.
        name: of the map; by default made from the source's.
        replace: whether a map of that name may go.

    Raises:
        NotFoundError: one of them is not there.
    """
    from transplant.alignment.token_map import map_tokens
    from transplant.workflows.corpus import read_documents_of

    work.check_there(source=source, to=to)
    stored = name or map_name(source)
    work.library.claim(("tokens",), stored, to, None, replace=replace)
    donor, target = work.backbone(source), work.backbone(to)
    documents = read_documents_of(work, data, characters, characters)
    found = map_tokens(donor.tokenizer, target.tokenizer, target.vocab_size)
    counts, pairs = measure_pairs(donor, target, documents)
    results = {"tokens": found.coverage(), "text": found.coverage(counts), "pairs": pairs}
    entry = work.library.store(
        "tokens", stored, found.as_tensors(), backbone=target, results=results, replace=replace,
        made=work.made(corpus=data, source=donor.name),
        parents={"source_tokenizer": donor.tokenizer_sha256},
    )  # fmt: skip
    return {
        "name": f"{stored}@{to}", "from": source, "to": to, "data": data, **results,
        "path": str(entry.path),
    }  # fmt: skip


def stored_map(work: Work, donor: Backbone, target: Backbone) -> tuple[TokenMap, str]:
    """The map that `abi tokenize-align` has stored for these two tokenizers, or a new one.

    Returns:
        The map, and where it comes from, for a report.
    """
    from transplant.alignment.token_map import TokenMap, map_tokens

    for entry in work.library.choices("tokens", target.name):
        manifest = entry.manifest
        same = (manifest.parents.get("source_tokenizer"), manifest.backbone.tokenizer_sha256)
        if same == (donor.tokenizer_sha256, target.tokenizer_sha256):
            return TokenMap.from_tensors(work.library.read(entry)), entry.hosted
    made = map_tokens(donor.tokenizer, target.tokenizer, target.vocab_size)
    return made, "made now"


def token_counts(backbone: Backbone, documents: Sequence[Document]) -> dict[int, int]:
    """How often each token of a backbone occurs in a text."""
    from transplant.text.windows import tokenize

    counts: Counter[int] = Counter()
    for ids, _ in tokenize(documents, backbone.tokenizer):
        counts.update(ids)
    return dict(counts)


def measure_pairs(
    donor: Backbone, target: Backbone, documents: Sequence[Document]
) -> tuple[dict[int, int], dict[str, Any]]:
    """Counts of the target's tokens on a text, and how its positions pair with the donor's."""
    import torch

    from transplant.text.offsets import match_positions
    from transplant.text.windows import tokenize

    counts: Counter[int] = Counter()
    ends: list[list[torch.Tensor]] = [[], []]
    windows: list[list[torch.Tensor]] = [[], []]
    for side, backbone in enumerate((donor, target)):
        for number, (ids, stops) in enumerate(tokenize(documents, backbone.tokenizer)):
            ends[side].append(torch.tensor(stops, dtype=torch.long))
            windows[side].append(torch.full((len(stops),), number))
            if side:
                counts.update(ids)
    (ends_a, ends_b), (windows_a, windows_b) = (
        [torch.cat(parts) for parts in sides] for sides in (ends, windows)
    )
    paired, _ = match_positions(ends_a, windows_a, ends_b, windows_b)
    characters = sum(len(document.text) for document in documents)
    return dict(counts), {
        "positions": {"from": len(ends_a), "to": len(ends_b)},
        "paired": len(paired),
        "paired_share": len(paired) / max(1, len(ends_b)),
        "characters_per_token": {
            "from": characters / max(1, len(ends_a)),
            "to": characters / max(1, len(ends_b)),
        },
    }
