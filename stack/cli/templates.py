"""Rows in the form of a template, as ``docker … --format`` takes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from stack.cli.go_template import Template
from stack.cli.go_template_functions import HEADING_FUNCTIONS, TemplateError
from stack.cli.rows import Columns, Row, is_table
from stack.errors import UsageError

_MIN_WIDTH, _PADDING = 10, 3


def read_template(form: str) -> Template:
    """Understand the template of a form, without its ``table``.

    Raises:
        UsageError: it is wrong, or not supported.
    """
    if form == "raw":
        raise UsageError("--format raw is not supported: take table, json or a template")
    text = form.removeprefix("table ") if is_table(form) else form
    text = text.strip().replace("\\t", "\t").replace("\\n", "\n")
    try:
        return Template.read(text)
    except TemplateError as error:
        raise _wrong(form, error) from None


def filled_in(form: str, rows: Sequence[Row], columns: Columns) -> str:
    """Return the template filled in for each row, one after another.

    Args:
        form: the template; after ``table `` headings stand above and columns are aligned.
        rows: members by name.
        columns: headings of members.

    Raises:
        UsageError: the template names what rows do not have.
    """
    template = read_template(form)
    try:
        lines = [template.run(_with_label(row)) for row in rows]
        if not is_table(form):
            return "".join(f"{line}\n" for line in lines)
        known = rows[0] if rows else dict.fromkeys(columns)
        headings = {name: columns.get(name, name.upper()) for name in known}
        top = template.run(_label_heading(headings), HEADING_FUNCTIONS)
    except TemplateError as error:
        raise _wrong(form, error) from None
    return aligned("".join(f"{line}\n" for line in (top, *lines)))


def _wrong(form: str, error: TemplateError) -> UsageError:
    return UsageError(f"--format {form!r}: {error}")


def _with_label(row: Row) -> Row:
    """The row with ``.Label "key"``, where it has labels."""
    labels = row.get("Labels")
    if labels is None:
        return row

    def label(key: str) -> str:
        pairs = labels if isinstance(labels, Mapping) else dict(_pairs(labels))
        return str(pairs.get(key, ""))

    return {**row, "Label": label}


def _pairs(labels: str) -> Iterator[tuple[str, str]]:
    for pair in labels.split(","):
        key, _, value = pair.partition("=")
        yield key, value


def _label_heading(headings: Mapping[str, str]) -> Mapping[str, object]:
    """``.Label "com.example.a-b"`` stands below ``a b``."""

    def heading(key: str) -> str:
        return re.sub("[-_]", " ", key.rsplit(".", 1)[-1])

    label: dict[str, Callable[[str], str]] = {"Label": heading} if "Labels" in headings else {}
    return {**headings, **label}


def aligned(text: str) -> str:
    """Replace tabs by blanks so that what lies between them stands in columns.

    A column is as wide as its widest cell in lines that follow each other, as with Go's tabwriter.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[0] * (len(cells) - 1) for cells in lines]
    for column in range(max(map(len, widths))):
        run: list[int] = []
        for number, _ in enumerate(lines):
            if column < len(widths[number]):
                run.append(number)
            if run and (column >= len(widths[number]) or number == len(lines) - 1):
                widest = max(len(lines[one][column]) for one in run)
                for one in run:
                    widths[one][column] = max(widest + _PADDING, _MIN_WIDTH)
                run = []
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(cells, wide, strict=False)) + cells[-1]
        for cells, wide in zip(lines, widths, strict=True)
    )
