"""The model card of an export: a README.md with metadata as the hub reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.tables.shares import UNBOUNDED
from transplant.tables.table import Table
from transplant.workflows.export.source import UNKNOWN, without_folders

if TYPE_CHECKING:
    from transplant.workflows.export.source import Source

OTHER = "other"
"""As the hub says of several licences; their names stand beside it."""
THINGS = {
    "module": "module",
    "linear": "linear map",
    "adapter": "LoRA",
    "basis": "LoRA inside a basis",
}
"""By kind of artifact, what a card calls it."""
ROWS = {
    "raw": "the backbone alone", "native": "a module trained on this backbone",
    "candidate": "what this card is about",
}  # fmt: skip
"""What is no control."""
COLUMNS = {
    "recovered": "share of the native's gain", "ppl": "perplexity per token",
    "difference": "nats per token worse than this one",
}  # fmt: skip
WORKS = {
    "module": "what is added to its last hidden state is computed by an interface and the module",
    "linear": "what is added to its last hidden state is an affine map of its layers",
    "adapter": "low-rank pairs work beside its linear maps",
    "basis": "low-rank pairs work beside its linear maps, each inside fixed directions of the map",
}
"""By kind, how it works."""
TAGS = {"module": "domain-module", "linear": "linear-map", "adapter": "lora", "basis": "lora"}
TOLD = (
    "verb", "donor", "student", "corpus", "pairing_corpus", "objective", "gain", "d_abi", "seed",
    "dtype", "split", "pairing_split",
)  # fmt: skip
"""Facts of how it was made, in this order; the rest is in the file beside the card."""


def write_card(
    source: Source, facts: Mapping[str, Any], folder: Path, *, library: str = "transformers"
) -> None:
    """Writes README.md.

    Args:
        source: what is exported.
        facts: of the export, `use` among them: how the folder is loaded.
        folder: where it is written.
        library: what loads the folder, for the hub.
    """
    from huggingface_hub import ModelCard

    parts = [
        f"# {source.title}", _opening(source), "## Use it", _use(source, facts),
        "## Evidence", _evidence(source.manifest.results), "## How it was made", _made(source),
        "## Licences", _licences(source),
    ]  # fmt: skip
    text = f"---\n{_metadata(source, library).to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"
    ModelCard(text)  # refuses metadata that the hub could not read
    (folder / "README.md").write_text(text, "utf-8")


def _metadata(source: Source, library: str) -> Any:
    from huggingface_hub import ModelCardData

    stated = sorted({text.lower() for text in source.licenses.values()})
    own, name = (stated[0], None) if len(stated) == 1 else (OTHER, "-and-".join(stated))
    base = None if source.hub is None else source.hub.id
    domain = source.manifest.domain
    return ModelCardData(
        license=own, license_name=name, base_model=base, library_name=library,
        pipeline_tag=None if source.hosted.backbone.model.config.is_encoder_decoder
        else "text-generation",
        tags=["abi", TAGS[source.manifest.kind], *([without_folders(domain)] if domain else [])],
    )  # fmt: skip


def _opening(source: Source) -> str:
    manifest, backbone = source.manifest, source.hosted.backbone
    domain = without_folders(manifest.domain) or "a domain without a name"
    donors = [without_folders(name) for name in source.donors if name != backbone.name]
    taught = manifest.made.get("student")
    if not donors:
        moved = ""
    elif taught:
        copies = "tuned copies" if len(donors) > 1 else "a tuned copy"
        moved = f" It was taught by what {copies} of {' and '.join(donors)} had learned."
    else:
        moved = f" It was moved from {donors[0]}; its bytes are the same there."
    return (
        f"A {'domain ' if manifest.kind == 'module' else ''}{THINGS[manifest.kind]} for {domain} "
        f"on the frozen language model {without_folders(backbone.name)}.{moved} The backbone's "
        f"weights are as they were: {WORKS[manifest.kind]}."
    )


def _use(source: Source, facts: Mapping[str, Any]) -> str:
    computed_in = facts.get("compared_in") or source.hosted.backbone.dtype
    return f"""{facts["use"]}

Logits differ from those of the artifact in its registry by at most {facts["logits"]:.1e} on the
tokens of a probe, in {computed_in}. What it was made for has these fingerprints:

    weights    {source.hosted.backbone.weights_sha256}
    tokenizer  {source.hosted.backbone.tokenizer_sha256}
    artifact   {source.manifest.sha256}"""


def _evidence(results: Mapping[str, Any]) -> str:
    tables = {name: results[name] for name in COLUMNS if isinstance(results.get(name), Mapping)}
    if not tables:
        return "Nothing was recorded of what it is worth: measure it before you rely on it."
    systems = dict.fromkeys(system for table in tables.values() for system in table)
    ordered = sorted(systems, key=lambda system: [*ROWS, system].index(system))
    rows = dict(ROWS)
    if results.get("native_model", {}).get("kind") == "adapter":
        rows["native"] = "a LoRA trained on this backbone"
    shown = Table("", "system", *(COLUMNS[name] for name in tables))
    for system in ordered:
        numbers = (_number(table.get(system)) for table in tables.values())
        shown.add(f"{system} ({rows.get(system, 'control')})", *numbers)
    controls = [system for system in ordered if system not in ROWS]
    note = "" if controls else "\n\nNo control was run: the numbers do not say what brought them."
    return "On held-out documents.\n\n" + shown.to_markdown().rstrip() + note


def _number(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if isinstance(value, int | float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    if isinstance(value, Mapping):  # a number with its interval
        return ", ".join(f"{key} {_number(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return " to ".join(UNBOUNDED if end is None else _number(end) for end in value)
    return str(value)


def _made(source: Source) -> str:
    made = source.provenance(token_counts=False)["made"]
    lines = [f"- {key}: `{json.dumps(made[key])}`" for key in TOLD if made.get(key) is not None]
    for name in ("recipe", "config", "learned", "versions"):
        if isinstance(made.get(name), Mapping):
            lines.append(f"- {name}: {', '.join(_settings(made[name]))}")
    for role, sha256 in source.manifest.parents.items():
        lines.append(f"- made from the {role.replace('_', ' ')} with sha256 `{sha256[:16]}`")
    lines.append("- all of it: `abi.json`")
    return "\n".join(lines)


def _settings(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        yield f"{key} `{json.dumps(value)}`"


def _licences(source: Source) -> str:
    lines = [f"- {without_folders(name)}: {text}" for name, text in source.licenses.items()]
    own = getattr(source.manifest, "license", None) or UNKNOWN
    return "\n".join([*lines, f"- the {THINGS[source.manifest.kind]} itself: {own}"]) + (
        "\n\nWhere they differ, read each. Where it says unknown, nothing was recorded: ask those "
        "who made the model."
    )
