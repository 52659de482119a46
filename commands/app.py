"""The `abi` command: the table of its verbs."""

from __future__ import annotations

import os

import typer

from commands.ablate import ablate
from commands.adapters import adapters
from commands.advise import advise
from commands.bridge_align import bridge_align
from commands.bridge_train import bridge_train
from commands.calibrate import calibrate
from commands.capture import capture
from commands.compare import compare
from commands.cores import cores
from commands.demo import demo
from commands.embed_init import embed_init
from commands.extract import extract
from commands.fuse import fuse
from commands.gate import gate
from commands.inject import inject
from commands.inspect_ import inspect_
from commands.invariance import invariance
from commands.list_ import list_
from commands.nib import nib
from commands.paste import paste
from commands.rm import rm
from commands.session import as_command
from commands.show import show
from commands.succession import succession
from commands.tokenize_align import tokenize_align
from commands.train import train
from commands.train_core import train_core
from commands.train_reference import train_reference
from commands.transfer import transfer
from commands.verify import verify
from transplant.allocator import keep_freed_memory

MODULES, ALIGNMENT, EVIDENCE, REGISTRY = "Modules", "Alignment", "Evidence", "Registry"

VERBS = (
    ("train", train, MODULES),
    ("transfer", transfer, MODULES),
    ("calibrate", calibrate, MODULES),
    ("paste", paste, MODULES),
    ("extract", extract, MODULES),
    ("inject", inject, MODULES),
    ("adapters", adapters, MODULES),
    ("fuse", fuse, MODULES),
    ("gate", gate, MODULES),
    ("train-core", train_core, MODULES),
    ("train-reference", train_reference, MODULES),
    ("advise", advise, ALIGNMENT),
    ("capture", capture, ALIGNMENT),
    ("tokenize-align", tokenize_align, ALIGNMENT),
    ("bridge-align", bridge_align, ALIGNMENT),
    ("bridge-train", bridge_train, ALIGNMENT),
    ("embed-init", embed_init, ALIGNMENT),
    ("nib", nib, EVIDENCE),
    ("verify", verify, EVIDENCE),
    ("ablate", ablate, EVIDENCE),
    ("compare", compare, EVIDENCE),
    ("invariance", invariance, EVIDENCE),
    ("succession", succession, EVIDENCE),
    ("demo", demo, EVIDENCE),
    ("cores", cores, REGISTRY),
    ("list", list_, REGISTRY),
    ("inspect", inspect_, REGISTRY),
    ("show", show, REGISTRY),
    ("rm", rm, REGISTRY),
)

app = typer.Typer(
    name="abi",
    help="Move a domain module from one frozen language model into another, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _name, _verb, _panel in VERBS:
    app.command(_name, rich_help_panel=_panel)(as_command(_verb))


def main() -> None:
    """Entry point of the script `abi`."""
    # Other libraries' bars would run into ours.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    keep_freed_memory()
    app()
