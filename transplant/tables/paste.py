"""A paste, planned, done or verified, as a table."""

from __future__ import annotations

from typing import Any

from transplant.paste.plan import PastePlan
from transplant.tables.table import Table
from transplant.tables.words import strong


def paste_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    title = f"{report['from']} -> {report['to']}"
    shown = Table(title, "check", "identical", "a change that it sees", "")
    for module in report["modules"]:
        for check in module["checks"]:
            identical = "yes" if check["identical"] else "NO"
            control = check["control"] or ("none in this core" if check["identical"] else "")
            name = f"{module['module']}: {check['name']}"
            shown.add(name, identical, control, check["verdict"])
        shown.add(f"  of {module['tensors']} tensors")
    if body := report["body"]:
        verdict = "pass" if body["pass"] else "FAIL"
        identical = "NO" if body["differs"] else "yes"
        shown.add("all tensors, by the manifest", identical, body["control"] or "", verdict)
    else:
        shown.add("all tensors: a folder without a manifest", "", "", "not compared")
    shown.add(strong("pass" if report["pass"] else "FAIL"))
    return shown


def plan_table(title: str, plan: PastePlan) -> Table:
    """What a paste would copy."""
    shown = Table(f"{title} (dry run: nothing was pasted)", "module", "tensors", "bytes")
    for module in plan.modules:
        shown.add(module.name, str(len(module.tensors)), f"{module.size:,}")
    return shown


def pasted_table(title: str, found: dict[str, Any]) -> Table:
    """What a paste has copied."""
    shown = Table(f"{title} -> {found['out']}", "", "")
    for module in found["modules"]:
        shown.add(f"{module['name']}, tensors bit-identical", str(len(module["tensors"])))
        shown.add("  sha256 in the source", module["sha256_source"][:16])
        shown.add("  sha256 read back", module["sha256_target"][:16])
    shown.add("bytes copied", f"{found['bytes_copied']:,}")
    shown.add("seconds", f"{found['seconds']:.2f}")
    return shown
