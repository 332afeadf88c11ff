"""``stack ls``."""

from __future__ import annotations

from collections import Counter

import click

from stack.cli.session import client_of
from stack.cli.tables import list_options, show
from stack.translate.names import NAMESPACE_LABEL


@click.command()
@list_options
@click.pass_context
def ls(ctx: click.Context, *, form: str, quiet: bool) -> None:
    """List stacks and how many services each has."""
    services = client_of(ctx).services({"label": NAMESPACE_LABEL})
    counts = Counter(str(service["Spec"]["Labels"][NAMESPACE_LABEL]) for service in services)
    rows = [{"Name": name, "Services": str(counts[name])} for name in sorted(counts)]
    columns = {"Name": "NAME", "Services": "SERVICES"}
    show(rows, columns, form=form, quiet=quiet, identity="Name")
