"""Licences of models, as the cards beside their weights state them."""

from __future__ import annotations

from pathlib import Path

CARD = "README.md"


def license_in(folder: Path | None) -> str | None:
    """What the card in a folder states; None where there is no card, or none that can be read."""
    return None if folder is None else _stated(folder / CARD)


def license_on_hub(hub_id: str, revision: str | None) -> str | None:
    """What the card of a model on a hub states; None where the hub does not tell.

    Args:
        hub_id: the model.
        revision: a branch, a tag or a commit; None for `main`.
    """
    from huggingface_hub import hf_hub_download

    from transplant.backbones.hub_ids import is_out_of_reach
    from transplant.backbones.quiet import quiet

    try:
        with quiet():
            offline = is_out_of_reach()
            card = hf_hub_download(hub_id, CARD, revision=revision, local_files_only=offline)
    except Exception:  # noqa: BLE001  no such model, no card, no network: its errors are many
        return None
    return _stated(Path(card))


def _stated(card: Path) -> str | None:
    from huggingface_hub import metadata_load

    if not card.is_file():
        return None
    try:
        stated = (metadata_load(card) or {}).get("license")
    except Exception:  # noqa: BLE001  a card of somebody else's, in whatever form
        return None
    return stated if isinstance(stated, str) else None
