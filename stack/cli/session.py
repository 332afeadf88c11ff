"""What every command needs: a client, the time, and ways to tell the user something."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import click

from stack.engine.client import EngineClient
from stack.errors import UsageError


def client_of(ctx: click.Context) -> EngineClient:
    """A client of the endpoint that -H or the environment names, closed with the command."""
    return ctx.with_resource(another_client(ctx))


def another_client(ctx: click.Context) -> EngineClient:
    """The same, for whoever closes it."""
    file = ctx.meta.get("stack.credential")
    token = (Path(file).read_text(encoding="utf-8").strip() or "-") if file else ""
    return EngineClient.at(ctx.obj or "", token)


def now_s() -> float:
    """Seconds since 1970, for ages in tables."""
    return time.time()  # noqa: TID251 (the command line's one look at the clock)


def read_since(text: str) -> str:
    """The value of an option --since in seconds since 1970: that number, or an age as 10m."""
    if not text or text.replace(".", "", 1).isdigit():
        return text
    from stack.compose.quantities import duration_ns  # few commands have such an option

    try:
        age_ns = duration_ns(text)
    except ValueError as error:
        raise UsageError(f"--since {text!r}: {error}") from None
    return f"{now_s() - age_ns / 1e9:.9f}"


def say(line: str) -> None:
    """A line on standard output, at once also in a pipe."""
    click.echo(line)


def warn_all(warnings: Iterable[object]) -> None:
    """Warnings on standard error, each once."""
    for warning in dict.fromkeys(str(warning) for warning in warnings):
        click.echo(f"warning: {warning}", err=True)
