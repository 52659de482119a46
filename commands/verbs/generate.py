"""Have a model write on from a prompt, beside its raw backbone and a native.

Example: abi generate python-from-ref-gpt2@ref-llama --prompt 'def read(path):'
Example: abi generate ref-llama --prompt - --temperature 0.8 --json
"""

from __future__ import annotations

import sys

from commands.options import Named, NativeBeside
from commands.session import Session
from transplant.evidence.generate import GenerateConfig


def generate(
    session: Session,
    *,
    name: Named,
    prompt: list[str],
    native: NativeBeside = None,
    config: GenerateConfig,
) -> None:
    """Have a model write on from a prompt, beside its raw backbone and a native.

    Args:
        prompt: what to write on from; - for stdin. Repeatable.
    """
    from commands.render.written import Written
    from transplant.tables.generated import generated_sheet

    prompts = [sys.stdin.read() if text == "-" else text for text in prompt]
    along = Written(session.out) if session.out.is_live else None
    report = session.generate(name, prompts, native=native, config=config, listener=along)
    session.out.result(report, generated_sheet(report, texts=along is None))
