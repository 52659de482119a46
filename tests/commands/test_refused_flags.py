"""What an option cannot be is refused by its flag, before anything is loaded or read."""

from __future__ import annotations

import pytest

from tests.commands.test_bad_input import assert_refused

MOVE = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama")
CAPTURE = ("capture", "--backbone", "tiny-llama", "--data", "TEXT", "--out", "OUT")
UPDATE = ("--module", "tales@tiny-gpt2", "--update-data", "TEXT")
NIB = ("nib", "--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2", "--data", "TEXT")
TUNED = ("--donor", "tiny-gpt2", "--tuned", "tales@tiny-gpt2", "--to", "tiny-llama", "--domain",
         "x", "--domain-data", "TEXT", "--data", "TEXT", "--native", "none")  # fmt: skip
FROM_TO = ("--from", "tiny-llama", "--to", "tiny-gpt2", "--data", "TEXT")
OF_A_CAPTURE = [
    ("--backbone", "tiny-llama"), ("--data", "prose"), ("--out", "x"), ("--taps", "all"),
    ("--dtype", "float32"), ("--stored", "fp16"), ("--window", "64"), ("--max-tokens", "9"),
    ("--pool", "mean"), ("--resume",), ("--verify", "y.h5"),
]  # fmt: skip
OF_AN_ADAPTER = [
    ("--domain", "x"), ("--name", "x"), ("--peft", "x"), ("--merge", "x"), ("--forget", "none"),
    ("--replace",), ("--steps", "9"), ("--batch", "9"), ("--window", "99"),
    ("--learning-rate", "0.1"), ("--tokens", "999"), ("--calibration-tokens", "99"),
    ("--evaluate-every", "9"),
]  # fmt: skip
NOWHERE = ("nobody@tiny-gpt2", "nobody", "./nobody")
"""Names of what is not there: on a backbone that is, of no backbone, and of no folder."""
WRONG = [
    (("train", "--backbone", "tiny-gpt2", "--domain", "x"), ("--matmul-type", "int4")),
    (("train", "--backbone", "tiny-gpt2", "--domain", "x"), ("--window-choice", "last")),
    (("train", "--backbone", "tiny-gpt2", "--domain", "x"), ("--form", "tall")),
    *((("transfer", *MOVE), (flag, "odd")) for flag in ("--inside", "--longer", "--method")),
    *((("calibrate", *MOVE), (flag, "odd")) for flag in ("--inside", "--longer", "--method")),
    (("calibrate", *MOVE), ("--objective", "odd")),
    (("calibrate", *MOVE, "--objective", "kd", "--anchor", "x"), ("--train", "odd")),
    (("calibrate", *MOVE, "--objective", "corr-mse", "--anchor", "x"),
     ("--schedule", "odd")),
    (("ablate", "controls", *MOVE), ("--method", "odd")),
    (("ablate", "controls", *MOVE), ("--only", "kd")),
    *((("ablate", "controls", *MOVE), (flag, "0"))
      for flag in ("--excerpt-chars", "--stride", "--columns")),
    (("train-core", "--size", "2M", "--data", "TEXT"), ("--max-chars", "0")),
    (("train-reference", "ref-gpt2", "--out", "OUT"), ("--max-chars", "0")),
    (("train-reference", "ref-gpt2", "--out", "OUT"), ("--tokens", "0")),
    ((*CAPTURE, "--stored", "bf16"), ("--dtype", "fp16")),
    *((CAPTURE, (flag, "odd")) for flag in ("--stored", "--pool", "--taps")),
    *((("invariance", *UPDATE), pair) for pair in (("--kind", "odd"), ("--train-interface",))),
    *((("succession", *UPDATE), pair) for pair in (("--kind", "odd"), ("--train-interface",))),
    *((NIB, pair) for pair in (("--chunks", "0"), ("--skip", "-1"), ("--margin", "0.1"))),
    ((*NIB, "--power"), ("--margin", "-1")),
    ((*NIB, "--skip", "20"), ("--chunk-length", "20")),
    (("cfgen", "--task", "agreement", "--out", "OUT"), ("--n", "-1")),
    (("uq", "--model", "tiny-gpt2", "--out", "OUT"), ("--bins", "0")),
    *((("capture", "--inspect", "x.h5"), pair) for pair in OF_A_CAPTURE),
    *((("capture", "--verify", "x.h5"), pair) for pair in (("--taps", "0"), ("--out", "y"))),
    *((("uq", "--model", "tales@tiny-gpt2", "--ensemble", "tiny-gpt2", "--out", "OUT"), pair)
      for pair in (("--members", "8"), ("--scale", "0.05"))),
    (("uq", "--model", "tiny-gpt2", "--method", "dropout", "--out", "OUT"), ("--scale", "0.1")),
    *((("uq", "--model", "tales@tiny-gpt2", "--out", "OUT"), (flag, name))
      for flag in ("--baseline", "--ensemble") for name in NOWHERE),
    *((("cfeval", "--model", "tales@tiny-gpt2", "--pairs", "PAIRS"), ("--baseline", name))
      for name in NOWHERE),
    *((("embed-init", "--from", "tiny-llama", "--to", "tiny-gpt2", "--data", "TEXT",
        "--method", method), ("--atoms", "64")) for method in ("bridge", "decompose", "mean")),
    (("embed-init", "--from", "tiny-llama", "--to", "tiny-gpt2", "--data", "TEXT",
      "--method", "omp"), ("--calibration-tokens", "300")),
    (("generate", "tiny-gpt2", "--prompt", "x"), ("--top-k", "5")),
    (("generate", "tiny-gpt2", "--prompt", "x"), ("--top-p", "0.5")),
    *((("transfer", *TUNED), (flag, name)) for flag in ("--donor", "--tuned", "--to")
      for name in NOWHERE),
    *((("transfer", *TUNED[4:]), ("--teachers", f"tales@tiny-gpt2,{name}"))
      for name in (*NOWHERE, "x@nobody")),
    *(((*words, *MOVE), ("--to", name)) for words in (("transfer", "--name", "free"),
      ("transfer", "--curve", "0,1k"), ("calibrate", "--name", "free"),
      ("bridge-align", "--name", "free")) for name in NOWHERE[1:]),
    *((("ablate", "controls", *MOVE), ("--to", name)) for name in NOWHERE[1:]),
    *((NIB, (flag, name)) for flag in ("--anchor", "--candidate") for name in NOWHERE),
    *((("validate", "--model", "tales@tiny-gpt2", "--baseline", "tiny-gpt2"), (flag, name))
      for flag in ("--model", "--baseline") for name in NOWHERE),
    *(((verb, *FROM_TO), (flag, name)) for verb in ("tokenize-align", "embed-init", "advise")
      for flag in ("--from", "--to") for name in NOWHERE[1:]),
    (("list",), ("--kind", "odd")),
    (("list", "modules"), ("--kind", "backbone")),
    *((("basis", "adapt", "b@tiny-gpt2", "--compress", "0.5", "--out", "OUT"), pair)
      for pair in OF_AN_ADAPTER),
    (("basis", "adapt", "b@tiny-gpt2", "--domain", "x"), ("--out", "OUT")),
    (("show", "tales@tiny-gpt2", "--recipe"), ("--verify",)),
    (("show", "tales@tiny-gpt2", "--recipe"), ("--full",)),
    *((("verify",), pair) for pair in (("--from", "a"), ("--to", "b"), ("--domain", "x"),
                                       ("--tokens", "9"))),
    *((("verify", "paste", "--from", "a", "--to", "b"), pair)
      for pair in (("--record", "x.json"), ("--allow-other-text",))),
    (("trace", "--model", "tiny-gpt2"), ("--noise", "2")),
    *((("calibrate", *MOVE, "--from-activations", "a.h5", "b.h5", "--name", "free"), pair)
      for pair in (("--pair-data", "TEXT"), ("--excerpts", "9"), ("--excerpt-chars", "99"))),
    (("show", "tales@tiny-gpt2"), ("--kind", "odd")),
    *((("bridge-align", "--between", "a:1", "b:1"), pair)
      for pair in (("--module", "x"), ("--to", "x"), ("--taps", "last"), ("--stride", "9"))),
    (("inject", "--from", "x:ffn.1", "--to", "tiny-llama", "--layer", "1", "--align", "x"),
     ("--start", "identity")),
    (("analyze", "--bank", "x", "--activations", "x.h5"), ("--windows", "0")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "wrong"), WRONG, ids=[f"{words[0]} {' '.join(wrong)}" for words, wrong in WRONG]
)
def test_what_an_option_cannot_be_is_refused_by_its_flag(trained_abi, tmp_path, words, wrong):
    (tmp_path / "pairs.jsonl").write_text('{"good": "a b", "bad": "b a"}\n')
    places = {
        "TEXT": trained_abi.corpus, "OUT": str(tmp_path / "out"),
        "PAIRS": str(tmp_path / "pairs.jsonl"),
    }  # fmt: skip
    ran = trained_abi(*(places.get(word, word) for word in (*words, *wrong)), "--json")
    report = assert_refused(ran, wrong[0])
    assert "`" not in report["what"]
    assert "loading" not in ran.err
    assert "reading" not in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", NOWHERE)
def test_the_last_of_several_models_is_looked_for_before_the_first_is_loaded(trained_abi, name):
    ran = trained_abi("perplexity", "tiny-gpt2", name, "--data", trained_abi.corpus, "--json")
    assert_refused(ran, "nobody")
    assert "loading" not in ran.err


@pytest.mark.parametrize("flag", ["--name", "--domain", "--backbone"])
def test_what_can_be_no_name_is_said_as_it_was_typed(trained_abi, flag):
    words = {"--backbone": "tiny-gpt2", "--domain": "tales", flag: "a name?"}
    ran = trained_abi("train", *(word for pair in words.items() for word in pair), "--json")
    assert_refused(ran, "'a name?' is no name")
    assert "loading" not in ran.err
