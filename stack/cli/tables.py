"""Lists as tables in the layout of Docker's client, as JSON, by a template, or as bare IDs."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from click.shell_completion import CompletionItem

from stack.cli.rows import WORDS, Columns, Row, is_table
from stack.errors import UsageError


def list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format, --json and --quiet to a command that lists."""

    @functools.wraps(command)
    def run(*arguments: Any, form: str, is_json: bool, **options: Any) -> Any:
        return command(*arguments, form="json" if is_json else form, **options)

    listing = click.option("-q", "--quiet", is_flag=True, help="Only IDs or names.")(run)
    listing = click.option("--json", "is_json", is_flag=True, help="The same as --format json.")(
        listing
    )
    return format_option(listing)


class ListForm(click.ParamType[str]):
    """The form of a list: table, json, or a template, which is read to see whether it is one."""

    name = "form"

    def convert(self, value: str, *_: click.Parameter | click.Context | None) -> str:
        """Check a form.

        Raises:
            UsageError: the template is wrong.
        """
        if value not in WORDS:
            from stack.cli.templates import read_template  # only who gives one needs it

            read_template(value)
        return value

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - for all kinds of parameters
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The forms that are words."""
        return [CompletionItem(word) for word in WORDS if word.startswith(incomplete)]


def format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format to a command that shows rows."""
    return click.option(
        "--format",
        "form",
        type=ListForm(),
        metavar="FORM",
        default="table",
        help="table; json: an array of objects; or a template as for Docker's client: "
        "'{{.Name}}', 'table {{.ID}}\\t{{.Name}}'.",
    )(command)


class ObjectForm(click.ParamType[str]):
    """The form of whole objects: json, or a template, which is read to see whether it is one."""

    name = "form"

    def convert(self, value: str, *_: click.Parameter | click.Context | None) -> str:
        """Check a form.

        Raises:
            UsageError: the template is wrong, or a word that lists and other clients know.
        """
        if value == "pretty" or is_table(value):
            raise UsageError(f"--format {value} is not supported: take json or a template")
        if value != "json":
            from stack.cli.templates import read_template  # only who gives one needs it

            read_template(value)
        return value


def object_format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format to a command that shows objects as the API gives them."""
    return click.option(
        "-f",
        "--format",
        "form",
        type=ObjectForm(),
        metavar="FORM",
        default="json",
        help="json, or a template for each object as for Docker's client: '{{.Spec.Name}}', "
        "'{{json .Spec}}'.",
    )(command)


def show_objects(
    found: Sequence[Mapping[str, Any]], form: str, *, may_lack: Sequence[str] = ()
) -> None:
    """Print objects as the API gives them, or by a template.

    Args:
        found: the objects.
        form: "json" or a template.
        may_lack: members that an object need not have; a template may name them all the same.
    """
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    from stack.cli.templates import filled_in

    rows = [dict.fromkeys(may_lack) | dict(one) for one in found]
    click.echo(filled_in(form, rows, {}), nl=False)


def show(
    rows: Sequence[Row], columns: Columns, *, form: str, quiet: bool, identity: str = "ID"
) -> None:
    """Print rows.

    Args:
        rows: members by name; a row may hold more than the columns show.
        columns: what a table shows.
        form: "table", "json" or a template.
        quiet: print only the member `identity` of each row, unless there is a template.
        identity: the member that names a row.
    """
    if form not in WORDS:
        from stack.cli.templates import filled_in

        click.echo(filled_in(form, rows, columns), nl=False)
    elif quiet:
        for row in rows:
            click.echo(row[identity])
    elif form == "json":
        click.echo(json.dumps([dict(row) for row in rows], indent=2))
    else:
        click.echo(
            table([[str(row[name]) for name in columns] for row in rows], [*columns.values()])
        )


def table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> str:
    """A table with three blanks between columns and no lines."""
    import tabulate  # slow to import, and only tables need it

    tabulate.MIN_PADDING = 0  # headings are as wide as they are
    layout = tabulate.TableFormat(
        lineabove=None,
        linebelowheader=None,
        linebetweenrows=None,
        linebelow=None,
        headerrow=tabulate.DataRow("", "   ", ""),
        datarow=tabulate.DataRow("", "   ", ""),
        padding=0,
        with_header_hide=None,
    )
    text = tabulate.tabulate(rows, headers=headings, tablefmt=layout, disable_numparse=True)
    return "\n".join(line.rstrip() for line in text.splitlines())


SHORT_ID = 12


def short_id(identifier: str) -> str:
    """An ID as tables show it; it still names the object in every command."""
    return identifier[:SHORT_ID]


def label_list(labels: Mapping[str, str] | None) -> str:
    """Labels as Docker's client prints them: "a=1,b=2"."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


_AGES = ((1, "second"), (60, "minute"), (3600, "hour"), (86400, "day"), (604800, "week"))


def age(timestamp: str, now_s: float) -> str:
    """How long ago an RFC 3339 time was: "5 minutes ago"; "" when there is none."""
    if not timestamp:
        return ""
    whole, _, rest = timestamp.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    moment = datetime.fromisoformat(whole + zone)
    seconds = max(0, int(now_s - moment.timestamp()))
    if seconds < 1:
        return "less than a second ago"
    size, unit = next(one for one in reversed(_AGES) if seconds >= one[0])
    count = seconds // size
    return f"{count} {unit}{'' if count == 1 else 's'} ago"
