"""The table of the verbs, and what each takes beside its own options."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

VERBS = {
    "Modules": (
        "train", "transfer", "calibrate", "paste", "extract", "inject", "adapters", "fuse", "gate",
        "merge", "train-core", "train-reference", "export",
    ),
    "Adaptation": ("basis fit", "basis allocate", "basis adapt", "basis compare"),
    "Alignment": (
        "advise", "capture", "tokenize-align", "bridge-align", "bridge-train", "embed-init",
    ),
    "Evidence": (
        "trace", "analyze",
        "nib", "verify", "ablate", "compare", "invariance", "succession", "cfgen", "cfeval",
        "uq", "route-sim", "validate", "perplexity", "generate", "eval", "report", "demo",
    ),
    "Registry": ("add", "cores", "list", "inspect", "show", "rm", "studio", "schema"),
    "Recipes": ("run",),
}  # fmt: skip
"""The verbs by the panel of `--help` that shows them; each has the file of its name in `verbs/`.

A verb of a group is typed as two words.
"""
GROUPS = {"basis": "Adapt a backbone inside the directions that it uses (BASIS)."}
"""The groups, and what their `--help` says."""
NO_TEXT = frozenset({
    "analyze",
    "paste", "extract", "adapters", "train-reference", "export", "cfgen", "cfeval", "route-sim",
    "generate", "eval", *VERBS["Registry"],
})  # fmt: skip
"""The verbs that read no corpus of the user's; the others take the options of text."""
NO_MODEL = frozenset({"paste", "train-reference", "cfgen", "route-sim", *VERBS["Registry"]}) - {
    "add", "studio",
}  # fmt: skip
"""The verbs that load no backbone of the user's; the others take the options of models."""
PARALLEL = frozenset(
    {"train", "transfer", "calibrate", "nib", "capture", "basis fit", "basis allocate"}
)
"""The verbs that several processes may share, as `torchrun` and `accelerate launch` start them."""
PLOTTED = frozenset({
    "train", "train-core", "transfer", "calibrate", "basis adapt", "advise", "tokenize-align",
    "nib", "ablate", "invariance", "succession", "show",
})  # fmt: skip
"""The verbs whose result `--plot` draws; `transplant.pictures.reports` says what."""
TRAINING = frozenset({
    "train", "train-core", "train-reference", "transfer", "calibrate", "bridge-train",
    "fuse", "basis adapt", "invariance", "succession",
})  # fmt: skip
"""The verbs that train by steps, whose losses `--log-to` sends to a tracker."""
ALONE = frozenset({
    "cores", "list", "inspect", "show", "rm", "studio", "schema", *VERBS["Recipes"],
})  # fmt: skip
"""The verbs that are no step of a recipe: they only look, ask, serve or hold steps themselves."""
BUILTINS = ("list", "inspect", "eval")  # Python's own words: their files and functions end in `_`


def find_verb(name: str) -> Callable[..., None]:
    """The function of a verb, by its name on the command line."""
    own = name.replace("-", "_").replace(" ", "_") + ("_" if name in BUILTINS else "")
    return getattr(import_module(f"commands.verbs.{own}"), own)


def typed_name(verb: str) -> str:
    """A verb as it is typed, of its name in the library: `train_core`, `basis_fit`."""
    own = verb.strip("_").replace("_", "-")
    names = (name for names in VERBS.values() for name in names)
    return next((name for name in names if name.replace(" ", "-") == own), own)
