"""The words that verbs declare their options with; those of one topic stand in the files here."""

from commands.options.shared import (
    ARGUMENT,
    DOMAIN_DATA,
    EVAL_TOKENS,
    AlsoEval,
    DomainText,
    EvalTokens,
    Explain,
    HeldOutText,
    HostedOption,
    Named,
    NameOption,
    NativeBeside,
    Paths,
    Replace,
    Resume,
    Text,
    Verify,
    Window,
)
from transplant.options import Field, Fields, described_by
from transplant.values import named_paths, parse_names

__all__ = [
    "ARGUMENT", "AlsoEval", "DOMAIN_DATA", "DomainText", "EVAL_TOKENS",
    "EvalTokens", "Explain", "Field", "Fields", "HeldOutText", "HostedOption", "NameOption",
    "Named", "NativeBeside", "Paths", "Replace", "Resume", "Text", "Verify", "Window",
    "described_by", "named_paths", "parse_names",
]  # fmt: skip
