"""What the command lines of both processes share: options, errors and the signals that end them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from cluster.daemon.config import DEFAULT_ENGINE
from cluster.daemon.log_setup import LEVELS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def folder_option(name: str, *, default: Path, envvar: str, text: str) -> Decorator:
    """An option for a folder."""
    return _path_option(name, default, envvar, text, file_okay=False)


def socket_option(*names: str, default: Path, envvar: str, text: str) -> Decorator:
    """An option for a unix socket; the last of several names is the argument's."""
    return _path_option(*names, default, envvar, text, dir_okay=False)


def _path_option(*told: Any, **kinds: bool) -> Decorator:
    *names, default, envvar, text = told
    return click.option(
        *names,
        type=click.Path(path_type=Path, **kinds),
        default=default,
        show_default=True,
        envvar=envvar,
        help=text,
    )


def engine_option(*, envvar: str, text: str) -> Decorator:
    """``--engine``."""
    return click.option(
        "--engine", default=DEFAULT_ENGINE, show_default=True, envvar=envvar, help=text
    )


def log_level_option(*, envvar: str) -> Decorator:
    """``--log-level``."""
    return click.option(
        "--log-level",
        type=click.Choice(list(LEVELS)),
        default="info",
        show_default=True,
        envvar=envvar,
    )


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set from now on, in the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def each_error(group: BaseExceptionGroup[Exception]) -> Iterator[BaseException]:
    """The errors of a group and of the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from each_error(error)
        else:
            yield error
