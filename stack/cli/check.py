"""``stack check``."""

from __future__ import annotations

from importlib.metadata import version

import click

from stack.cli.project import ProjectChoice
from stack.cli.project_options import source_options


@click.command(
    epilog="""\b
Exit codes:
  0  no errors
  1  errors, or warnings with --strict
  2  wrong usage, or a file cannot be read
"""
)
@click.argument("arguments", metavar="[FILE]...", nargs=-1)
@source_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="For people, for programs, or for code hosts (SARIF 2.1.0).",
)
@click.option(
    "--nodes",
    type=click.IntRange(min=1),
    help="How many nodes the cluster has: then tasks that find no place are counted.",
)
@click.option(
    "--ignore", "ignored", multiple=True, metavar="RULE", help="Leave out a rule's findings."
)
@click.option("--strict", is_flag=True, help="Let warnings count as errors for the exit code.")
@click.pass_context
def check(
    ctx: click.Context,
    *,
    arguments: tuple[str, ...],
    project: ProjectChoice,
    form: str,
    nodes: int | None,
    ignored: tuple[str, ...],
    strict: bool,
) -> None:
    """Tell what a compose project needs to run on several nodes.

    Says for each place of the FILEs what will not work as on one machine, and what to write
    instead.  Several files are merged, as with -c.  Nothing is sent; no cluster is needed.
    """
    from stack.check.check import check as find
    from stack.check.finding import Severity
    from stack.check.report import json_report, text_report
    from stack.check.rules import RULES
    from stack.check.sarif import sarif_report

    known = {rule.id for rule in RULES}
    for rule_id in ignored:
        if rule_id not in known:
            raise click.BadParameter(
                f"{rule_id!r} is none of {', '.join(sorted(known))}", param_hint="--ignore"
            )
    source = project.source(further_files=arguments)
    found = find(source, profiles=project.profiles, nodes=nodes)
    findings = [one for one in found if one.rule not in ignored]
    match form:
        case "json":
            click.echo(json_report(findings))
        case "sarif":
            click.echo(sarif_report(findings, RULES, version("stackyard")))
        case _:
            click.echo(text_report(findings))
    worst = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(finding.severity in worst for finding in findings):
        ctx.exit(1)
