"""Verbs that read artifacts, by name, and which of them read each kind of artifact."""

from __future__ import annotations

from tests.damage.scene import CHUNKS, STOPPED, TRAIN, WINDOW

TALES = ("--data", "{base}/tales")
MOVE = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama")
SHORT = (*TALES, "--excerpts", "20")


def _nib(candidate: str, anchor: str = "tiny-gpt2") -> tuple[str, ...]:
    return ("nib", "--anchor", anchor, "--candidate", candidate, *TALES, *CHUNKS)


SHOWN = {
    "module": "tales@tiny-gpt2", "interface": "tales@tiny-gpt2", "gate": "tales@tiny-gpt2",
    "bridge": "layers@tiny-gpt2", "fusion": "fused@tiny-gpt2", "bank": "pieces@tiny-llama",
    "injection": "probe@tiny-gpt2", "adapter": "law@tiny-gpt2", "backbone": "tiny-llama",
    "tokens": "from-tiny-gpt2@tiny-llama",
}  # fmt: skip
"""By kind, what `abi show` is asked for."""


VERBS: dict[str, tuple[str, ...]] = {
    "nib of a module": _nib("tales@tiny-gpt2"),
    "nib of a fusion": _nib("fused@tiny-gpt2"),
    "nib of an injection": _nib("probe@tiny-gpt2"),
    "nib of an adapter": _nib("law@tiny-gpt2"),
    "nib of a core": (*_nib("tales@2M-tales", "2M-tales"), "--chunk-length", "30"),
    "nib of a pasted core": (*_nib("tales@pasted", "pasted"), "--chunk-length", "30"),
    "nib of a backbone": _nib("tiny-llama", "tiny-llama"),
    "bridge-align": ("bridge-align", *MOVE, *SHORT, "--replace"),
    "calibrate": ("calibrate", *MOVE, *SHORT),
    "transfer": ("transfer", *MOVE, *SHORT, "--eval-tokens", "200"),
    "gate": ("gate", "--module", "tales@tiny-gpt2", "--general", "{base}/numbers", "--eval-tokens",
             "400", "--tokens", "2000", "--most-worse", "50", "--replace"),
    "fuse": ("fuse", "tales@tiny-gpt2", "numbers@tiny-gpt2", "--steps", "4", *WINDOW[:2],
             "--tokens", "2000", "--eval-tokens", "200", "--name", "again"),
    "invariance": ("invariance", "--module", "tales@tiny-gpt2", "--update-data", "{base}/numbers",
                   "--kind", "int8", *WINDOW[:4], "--eval-tokens", "200"),
    "inspect": ("inspect", "pieces", "--verify"),
    "inject": ("inject", "--from", "pieces:ffn.0", "--to", "tiny-gpt2", "--layer", "1", *SHORT,
               "--start", "fit", "--name", "again"),
    "inject --align": ("inject", "--from", "pieces:ffn.0", "--to", "tiny-gpt2", "--layer", "1",
                       *SHORT, "--align", "layers", "--name", "again"),
    "bridge-align of layers": ("bridge-align", "--between", "tiny-gpt2:block.1.mlp.in",
                               "tiny-llama:block.0.mlp.in", *SHORT, "--name", "again"),
    "embed-init": ("embed-init", "--from", "tiny-llama", "--to", "tiny-gpt2", *TALES,
                   "--eval-tokens", "200", "--method", "decompose"),
    "tokenize-align": ("tokenize-align", "--from", "tiny-gpt2", "--to", "tiny-llama", *TALES,
                       "--replace"),
    "extract": ("extract", "--backbone", "tiny-llama", "--name", "again"),
    "capture": ("capture", "--backbone", "tiny-llama", *TALES, "--window", "32", "--taps", "all",
                "--out", "{base}/again.h5", "--max-tokens", "2000"),
    "train": ("train", "--backbone", "tiny-llama", "--domain", "tales", *TALES, *TRAIN),
    "adapters": ("adapters", "--import", "{base}/law", "--to", "tiny-gpt2", "--name", "again"),
    "paste": ("paste", "--from", "2M-tales", "--to", "other", "--name", "again"),
    "verify paste": ("verify", "paste", "--from", "2M-tales", "--to", "pasted", "--tokens", "8"),
    "calibrate a core": ("calibrate", "--module", "tales@2M-tales", "--to", "other", *SHORT),
    "train inside a core": ("train", "--backbone", "other", "--form", "lite", "--domain", "tales",
                            *TALES, "--steps", "2", *WINDOW),
    "train --resume": (*STOPPED["train"], "--resume"),
    "train-core --resume": (*STOPPED["train-core"], "--resume"),
    "train --from-activations": ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--taps",
                                 "1,2", *TRAIN, "--from-activations", "{base}/gpt2.h5", "--name",
                                 "read"),
    "calibrate --from-activations": ("calibrate", *MOVE, "--from-activations", "{base}/gpt2.h5",
                                     "{base}/llama.h5", "--name", "read"),
    "capture --inspect": ("capture", "--inspect", "{base}/gpt2.h5"),
    "capture --verify": ("capture", "--verify", "{base}/gpt2.h5"),
    "bridge-align of files": ("bridge-align", "--between", "{base}/gpt2.h5:1", "{base}/llama.h5:1",
                              *SHORT, "--name", "again"),
    **{f"show {kind}": ("show", name, "--kind", kind, "--verify") for kind, name in SHOWN.items()},
    **{f"show {name}": ("show", name, "--verify") for name in ("2M-tales", "other", "pasted")},
    "list": ("list",),
}  # fmt: skip
"""What is run after a flip."""


_GPT2, _LLAMA = "registry/tiny-gpt2", "registry/tiny-llama"
_USES = ("nib of a module", "calibrate", "transfer", "gate", "fuse", "bridge-align", "invariance",
         "nib of a fusion")  # fmt: skip

READS: dict[str, tuple[str, tuple[str, ...]]] = {
    "module": (f"{_GPT2}/d8/module/tales", (*_USES, "show module")),
    "interface": (f"{_GPT2}/d8/interface/tales", (*_USES, "show interface")),
    "gate": (f"{_GPT2}/d8/gate/tales", ("nib of a module", "gate", "invariance", "transfer",
                                          "show gate")),
    "bridge": (f"{_LLAMA}/d8/bridge/tales-from-tiny-gpt2", ("calibrate", "bridge-align")),
    "bridge of layers": (f"{_GPT2}/d0/bridge/layers", ("inject --align", "show bridge")),
    "fusion": (f"{_GPT2}/d0/fusion/fused", ("nib of a fusion", "show fusion")),
    "bank": (f"{_LLAMA}/d0/bank/pieces", ("inspect", "inject", "nib of an injection",
                                          "show bank")),
    "injection": (f"{_GPT2}/d0/injection/probe", ("nib of an injection", "show injection")),
    "adapter": (f"{_GPT2}/d0/adapter/law", ("nib of an adapter", "show adapter")),
    "tokens": (f"{_LLAMA}/d0/tokens/from-tiny-gpt2", ("embed-init", "tokenize-align",
                                                      "show tokens")),
    "backbone": (_LLAMA, ("nib of a backbone", "train", "capture", "extract", "tokenize-align",
                          "embed-init", "calibrate", "bridge-align of layers", "show backbone")),
    "core (source)": ("registry/2M-tales", ("nib of a core", "paste", "calibrate a core",
                                            "verify paste", "show 2M-tales")),
    "core (target)": ("registry/other", ("paste", "calibrate a core", "train inside a core",
                                         "show other")),
    "core (pasted)": ("registry/pasted", ("nib of a pasted core", "verify paste", "show pasted")),
    "checkpoint of train": ("registry/.runs/stopped@*", ("train --resume",)),
    "checkpoint of train-core": ("registry/.runs/*core*", ("train-core --resume",)),
    "capture": ("gpt2.h5", ("train --from-activations", "calibrate --from-activations",
                            "bridge-align of files", "capture --inspect", "capture --verify")),
}  # fmt: skip
"""By kind of artifact: where a byte is flipped, and the verbs that read it."""
