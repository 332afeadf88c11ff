"""How long a command waits for a stack: --detach, --timeout and --stable."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
import msgspec

_TRUE, _FALSE = frozenset(("1", "t", "true")), frozenset(("0", "f", "false"))


class Waiting(msgspec.Struct, frozen=True):
    """How long to wait for a stack, and how long it must then run, in seconds."""

    timeout_s: float
    stable_s: float


class DetachWithValue(click.Command):
    """Takes ``--detach=true`` and ``--detach=false`` too, as Docker's client does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Turn a value into the flag that means the same; click refuses other values."""
        return super().parse_args(ctx, [_without_value(argument) for argument in args])


def _without_value(argument: str) -> str:
    name, _, value = argument.partition("=")
    if name in ("--detach", "-d"):
        if value.lower() in _TRUE:
            return "--detach"
        if value.lower() in _FALSE:
            return "--no-detach"
    return argument


def waiting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, given to the command as `waiting`, None with --detach."""

    @functools.wraps(command)
    def with_waiting(
        *arguments: Any, detach: bool, timeout_s: float, stable_s: float, **rest: Any
    ) -> Any:
        waiting = None if detach else Waiting(timeout_s=timeout_s, stable_s=stable_s)
        return command(*arguments, waiting=waiting, **rest)

    options = (
        click.option(
            "--detach/--no-detach",
            "-d",
            default=False,
            help="Return as soon as the cluster has accepted the stack, or wait until it runs "
            "(default).",
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(min=0),
            default=300.0,
            show_default=True,
            metavar="SECONDS",
            help="How long to wait for the tasks.",
        ),
        click.option(
            "--stable",
            "stable_s",
            type=click.FloatRange(min=0),
            default=5.0,
            show_default=True,
            metavar="SECONDS",
            help="How long all tasks must run before that counts, at least 5 once one of them "
            "has failed.",
        ),
    )
    decorated: Callable[..., Any] = with_waiting
    for add in reversed(options):
        decorated = add(decorated)
    return decorated
