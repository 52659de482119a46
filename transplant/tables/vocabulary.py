"""A backbone with another vocabulary, as a table."""

from __future__ import annotations

from transplant.tables.table import Table


def vocabulary_table(
    title: str, to: str, text: dict[str, dict[str, float]], tried: dict[str, float]
) -> Table:
    """Held-out loss of each system and, where methods were compared, what each cost there.

    Args:
        title: of the table.
        to: the backbone whose body it is, which `text` calls `before`.
        text: what `nats_per_character` found on held-out text, by system.
        tried: nats per character of calibration text, by method.
    """
    best = min(tried, key=lambda method: tried[method], default=None)
    chosen = ("nats a character, calibration",) if tried else ()
    shown = Table(title, "", "perplexity", "nats a character", *chosen)
    for system in dict.fromkeys((*text, *tried)):
        label = f"{to} itself" if system == "before" else system
        found = text.get(system)
        row = (f"{found['ppl']:.2f}", f"{found['nats_per_character']:.4f}") if found else ("", "")
        cost = (f"{tried[system]:.4f}" if system in tried else "",) if tried else ()
        shown.add(f"{label}, the best" if system == best else label, *row, *cost)
    return shown
