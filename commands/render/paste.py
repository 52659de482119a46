"""A paste, planned, done or verified, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table

if TYPE_CHECKING:
    from rich.table import Table

    from transplant.paste.plan import PastePlan


def paste_table(report: dict[str, Any]) -> Table:
    """The report as one table."""
    title = f"{report['from']} -> {report['to']}"
    shown = table(title, "check", "identical", "a change that it sees", "")
    for module in report["modules"]:
        for check in module["checks"]:
            identical = "yes" if check["identical"] else "NO"
            control = check["control"] or ("none in this core" if check["identical"] else "")
            name = f"{module['module']}: {check['name']}"
            shown.add_row(name, identical, control, check["verdict"])
        shown.add_row(f"  of {module['tensors']} tensors")
    if body := report["body"]:
        verdict = "pass" if body["pass"] else "FAIL"
        identical = "NO" if body["differs"] else "yes"
        shown.add_row("all tensors, by the manifest", identical, body["control"] or "", verdict)
    else:
        shown.add_row("all tensors: a folder without a manifest", "", "", "not compared")
    shown.add_row(f"[bold]{'pass' if report['pass'] else 'FAIL'}[/bold]")
    return shown


def plan_table(title: str, plan: PastePlan) -> Table:
    """What a paste would copy."""
    shown = table(f"{title} (dry run: nothing was pasted)", "module", "tensors", "bytes")
    for module in plan.modules:
        shown.add_row(module.name, str(len(module.tensors)), f"{module.size:,}")
    return shown


def pasted_table(title: str, found: dict[str, Any]) -> Table:
    """What a paste has copied."""
    shown = table(f"{title} -> {found['out']}", "", "")
    for module in found["modules"]:
        shown.add_row(f"{module['name']}, tensors bit-identical", str(len(module["tensors"])))
        shown.add_row("  sha256 in the source", module["sha256_source"][:16])
        shown.add_row("  sha256 read back", module["sha256_target"][:16])
    shown.add_row("bytes copied", f"{found['bytes_copied']:,}")
    shown.add_row("seconds", f"{found['seconds']:.2f}")
    return shown
