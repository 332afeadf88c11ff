"""How long a command waits for a stack, and for whoever is deploying it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
import msgspec

from stack.deploy.deployment import Waiting, Wholeness

_TRUE, _FALSE = frozenset(("1", "t", "true")), frozenset(("0", "f", "false"))


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
    """Add the options, given to the command as `waiting`."""

    @functools.wraps(command)
    def with_detach(*arguments: Any, detach: bool, waiting: Waiting, **rest: Any) -> Any:
        waiting = msgspec.structs.replace(waiting, is_detached=detach)
        return command(*arguments, waiting=waiting, **rest)

    return click.option(
        "--detach/--no-detach",
        "-d",
        default=False,
        help="Return as soon as the cluster has accepted the stack, or wait until it runs "
        "(default).",
    )(wait_time_options(with_detach))


def wait_time_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --timeout and --stable, given to the command as `waiting`."""

    @functools.wraps(command)
    def with_waiting(*arguments: Any, timeout_s: float, stable_s: float, **rest: Any) -> Any:
        waiting = Waiting(timeout_s=timeout_s, stable_s=stable_s)
        return command(*arguments, waiting=waiting, **rest)

    options = (
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


def lock_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --prune, --atomic and --wait-lock, given to the command as `whole`."""

    @functools.wraps(command)
    def with_lock(
        *arguments: Any, prune: bool, atomic: bool, wait_lock_s: float, **rest: Any
    ) -> Any:
        whole = Wholeness(prune=prune, atomic=atomic, wait_s=wait_lock_s)
        return command(*arguments, whole=whole, **rest)

    options = (
        click.option(
            "--prune",
            is_flag=True,
            help="After success, also remove the stack's services, secrets, configs and networks "
            "that the file does not name.",
        ),
        click.option(
            "--atomic",
            is_flag=True,
            help="When one service fails, bring all back to the revision before; exit code 3. With "
            "--detach the managers do so within --timeout, and 'stack wait' tells how it ended.",
        ),
        wait_lock_option,
    )
    decorated: Callable[..., Any] = with_lock
    for add in reversed(options):
        decorated = add(decorated)
    return decorated


wait_lock_option = click.option(
    "--wait-lock",
    "wait_lock_s",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for somebody else who is deploying the same stack.",
)
