"""``stack audit``: who changed what of the cluster, and when."""

from __future__ import annotations

import click

from stack.cli.rows import WORDS
from stack.cli.session import client_of, read_since
from stack.cli.tables import list_options, show
from stack.engine.payloads import Json
from stack.errors import NotFound

_COLUMNS = {
    "At": "TIME",
    "Who": "WHO",
    "Origin": "FROM",
    "Node": "NODE",
    "Action": "ACTION",
    "Stack": "STACK",
    "Revision": "REVISION",
    "Changes": "CHANGES",
}
_SHOWN_CHANGES = 3


@click.command()
@click.option("--stack", default="", metavar="NAME", help="Only what is about this stack alone.")
@click.option(
    "--since",
    default="",
    metavar="TIME",
    help="Only what is not older: an age as 10m or 48h, or seconds since 1970.",
)
@click.option(
    "-n",
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(min=0),
    help="At most so many entries; 0 for all.",
)
@list_options
@click.pass_context
def audit(
    ctx: click.Context, *, stack: str, since: str, limit: int, form: str, quiet: bool
) -> None:
    """List who changed what of the cluster, the newest first, whichever client it was done with.

    What a deploy token was refused is there as well, at most once a minute. A table names the
    first changes of each entry; --json has up to 50. The newest 3000 entries are kept.
    """
    try:
        found = client_of(ctx).audit(stack=stack, since=read_since(since), limit=limit)
    except NotFound as error:
        if "page not found" not in str(error):
            raise
        raise NotFound(404, "the server keeps no audit log; stackd does") from None
    rows = found if form in WORDS[1:] else [_row(one) for one in found]
    show(rows, _COLUMNS, form=form, quiet=quiet)


def _row(entry: Json) -> Json:
    return {
        **entry,
        "At": entry["At"][:19].replace("T", " "),
        "Node": entry["Node"]["Hostname"] or entry["Node"]["ID"],
        "Revision": entry["Revision"] or "",
        "Changes": _changes(entry),
    }


def _changes(entry: Json) -> str:
    if entry["Refusal"]:
        return f"REFUSED: {entry['Refusal']}"
    changes = entry["Changes"]
    told = [_change(one) for one in changes[:_SHOWN_CHANGES]]
    more = len(changes) - len(told) + entry["LeftOut"]
    return ", ".join([*told, f"{more} more"] if more else told)


def _change(change: Json) -> str:
    note = f" ({change['Note']})" if change["Note"] else ""
    return f"{change['Deed']} {change['Kind']} {change['Name']}{note}"
