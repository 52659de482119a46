"""The NIB as tables, and its power from many more chunks than the protocol draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from transplant.evaluation.config import PowerConfig

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.evaluation.nib import NIBResult
    from transplant.text.windows import Window

    Logits = Callable[[Window], Tensor]


def power_report(
    windows: Sequence[Window],
    anchor: Logits,
    candidate: Logits,
    result: NIBResult,
    config: PowerConfig,
) -> dict[str, Any]:
    """Scores many chunks, and says what the chunks of `result` alone can tell.

    Args:
        windows: the held-out windows that `result` drew from.
        anchor: window -> logits of the model to live up to.
        candidate: window -> logits of the model to judge.
        result: the benchmark as it was run.
        config: the margin, the power, and how many chunks to measure.
    """
    from transplant.evaluation.nib import CRITERIA, run_nib
    from transplant.evaluation.power import measure_power

    protocol, drawn = result.config, len(result.scores)
    long_enough = sum(len(window) >= protocol.chunk_length for window in windows)
    # The same seed draws the same chunks first.
    many = dataclasses.replace(protocol, chunks=min(long_enough, config.measured))
    measured = run_nib(windows, anchor, candidate, many)
    values = {name: [getattr(score, name) for score in measured.scores] for name in CRITERIA}
    found = measure_power(values, drawn, config, level=protocol.level)
    return {
        **dataclasses.asdict(config),
        "chunks": drawn,
        "level": protocol.level,
        "measured": len(measured.scores),
        "documents": len({windows[index].document for index in measured.windows}),
        "criteria": {name: power.as_dict() for name, power in found.items()},
        "per_chunk": values,
    }
