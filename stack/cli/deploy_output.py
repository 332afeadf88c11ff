"""How ``stack deploy`` shows what goes on: lines, a live view on a terminal, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import click
import msgspec

from stack.cli.session import now_s
from stack.deploy.events import (
    AnyEvent,
    EndEvent,
    FailureEvent,
    ObjectEvent,
    Result,
    ServiceEvent,
    WarningEvent,
    failure_lines,
    line_of,
)
from stack.errors import StackError

Form = Literal["auto", "plain", "json"]


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --output, given to the command as `form`."""
    return click.option(
        "--output",
        "form",
        type=click.Choice(["auto", "plain", "json"]),
        default="auto",
        show_default=True,
        help="auto: a live view on a terminal, else plain: a line for each change of state; "
        "json: an event a line.",
    )(command)


def result_of(error: StackError) -> Result:
    """The word for how a command ended that an error ended."""
    results: dict[int, Result] = {
        2: "wrong",
        3: "rolled back",
        4: "unschedulable",
        5: "timed out",
    }
    return results.get(error.exit_code, "failed")


class Output(Protocol):
    """Takes the events of a deployment."""

    def tell(self, event: AnyEvent) -> None:
        """Show an event."""
        ...


def output_of(form: Form) -> Output:
    """The output for a value of ``--output``; "auto" is live on a terminal and lines elsewhere."""
    if form == "json":
        return JsonLines()
    if form == "auto" and sys.stdout.isatty():
        return LiveView()
    return Lines()


class Lines:
    """A line for each change of state; warnings and reasons go to standard error."""

    def tell(self, event: AnyEvent) -> None:
        """Print an event."""
        match event:
            case ObjectEvent() | ServiceEvent():
                click.echo(line_of(event))
            case WarningEvent():
                click.echo(f"warning: {event.message}", err=True)
            case FailureEvent():
                for line in failure_lines(event):
                    click.echo(line, err=True)
            case EndEvent():
                pass  # the error itself is printed where all errors are


class LiveView:
    """Lines for what is over, and below them one line for each service that is renewed in place."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._services: dict[str, str] = {}
        self._drawn = 0

    def tell(self, event: AnyEvent) -> None:
        """Show an event."""
        self._erase()
        match event:
            case ServiceEvent():
                self._services[event.name] = line_of(event)
                self._draw()
            case FailureEvent() | EndEvent():
                self._draw()
                self._drawn = 0  # it stays
                self._services.clear()
                self._lines.tell(event)
            case _:
                self._lines.tell(event)
                self._draw()

    def _erase(self) -> None:
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}A\x1b[J", nl=False, color=True)
            self._drawn = 0

    def _draw(self) -> None:
        import shutil  # it takes long to import, and only terminals need it

        width = shutil.get_terminal_size().columns
        for name in sorted(self._services):
            click.echo(self._services[name][: max(width - 1, 20)])
        self._drawn = len(self._services)


class JsonLines:
    """A JSON object for each event, on standard output; docs/deploy.md describes them."""

    def tell(self, event: AnyEvent) -> None:
        """Print an event with its moment."""
        moment = datetime.fromtimestamp(now_s(), UTC).isoformat(timespec="milliseconds")
        document = {"time": moment, **msgspec.to_builtins(event)}
        click.echo(json.dumps(document, ensure_ascii=False))
