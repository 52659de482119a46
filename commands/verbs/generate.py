"""Have a model write on from a prompt, beside its raw backbone and a native.

Example: abi generate python-from-ref-gpt2@ref-llama --prompt 'def read(path):'
Example: abi generate ref-llama --prompt - --temperature 0.8 --json
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from commands.options.shared import Named, NativeBeside
from commands.session import Session
from transplant.workflows.generate import GenerateConfig

WRITE = GenerateConfig()


def generate(
    session: Session,
    name: Named,
    prompt: Annotated[
        list[str], typer.Option(help="What to write on from; - for stdin. Repeatable.")
    ],
    native: NativeBeside = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens at most.")] = WRITE.max_new_tokens,
    temperature: Annotated[
        float, typer.Option(help="Of the draws; 0: the likeliest token.")
    ] = WRITE.temperature,
    top_p: Annotated[float, typer.Option(help="Draw among tokens of this share.")] = WRITE.top_p,
    top_k: Annotated[int, typer.Option(help="Draw among so many tokens; 0: all.")] = WRITE.top_k,
    chat: Annotated[
        bool, typer.Option("--chat", help="The prompt is a user's turn, in the model's template.")
    ] = WRITE.chat,
) -> None:
    """Have a model write on from a prompt, beside its raw backbone and a native."""
    from commands.render.written import Written
    from transplant.tables.generated import generated_sheet

    config = GenerateConfig(
        max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, top_k=top_k, chat=chat
    )
    prompts = [sys.stdin.read() if text == "-" else text for text in prompt]
    along = Written(session.out) if session.out.is_live else None
    report = session.generate(name, prompts, native=native, config=config, listener=along)
    session.out.result(report, generated_sheet(report, texts=along is None))
