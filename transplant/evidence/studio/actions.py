"""Computations of the studio, on request: texts side by side, and advice on two backbones."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transplant.studio.desk import Task
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.modules.hosted import HostedModel


class LoadingActions:
    """Loads what it is asked for, and keeps the last backbone: the next prompt is often for it.

    Args:
        work: library, device and arithmetic.
    """

    def __init__(self, work: Work) -> None:
        self._work, self._lock = work, threading.Lock()
        self._held: Backbone | None = None

    def generate(self, task: Task, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The texts of `asked["systems"]` on `asked["backbone"]`, from one prompt."""
        from transplant.evidence.studio.generate import continue_prompt
        from transplant.loading.hosted import host

        work = self._for(task)
        with self._lock:
            backbone = self._backbone(work, asked["backbone"])
            texts = []
            for number, system in enumerate(asked["systems"], 1):
                task.note(f"{system.name}: {number} of {len(asked['systems'])}")
                name = work.named(system.name)
                model: HostedModel = host(backbone, name.module, work.library, name.d_abi)
                said = continue_prompt(model, asked["prompt"], asked["tokens"], task.check)
                texts.append({**said, "name": system.name, "role": system.role})
        return {"texts": texts, "made": work.made()}

    def advise(self, task: Task, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The report of advice on moving from `asked["from"]` to `asked["to"]`."""
        from transplant.advice.config import AdviceConfig
        from transplant.workflows.advise import Advising, run_advice

        advising = Advising(
            self._for(task), asked["from"], asked["to"], ("prose",), None, AdviceConfig()
        )
        return run_advice(advising)[2]

    def _for(self, task: Task) -> Work:
        return dataclasses.replace(self._work, reporter=task)

    def _backbone(self, work: Work, name: str) -> Backbone:
        held, known = self._held, work.library.fingerprints(name)
        sha256 = None if known is None else known.weights_sha256
        if held is not None and (held.name, held.weights_sha256) == (name, sha256):
            return held
        self._held = held = None  # one at a time in memory
        self._held = loaded = work.backbone(name)
        return loaded
