"""``stack logs`` and ``stack service logs``: what tasks printed, on every node."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import msgspec

from stack.cli.listings import node_name
from stack.cli.session import another_client, client_of, read_since
from stack.deploy.observe import stack_label
from stack.engine.client import EngineClient
from stack.engine.log_lines import LogLine
from stack.engine.payloads import Json
from stack.errors import NotFound


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--raw", is_flag=True, help="Only the lines, not who printed them."),
        click.option("-t", "--timestamps", is_flag=True, help="Show when each line was printed."),
        click.option(
            "-n", "--tail", default="all", help="How many of the newest lines of each task."
        ),
        click.option(
            "--since",
            default="",
            metavar="TIME",
            help="Only lines since then: an age as 10m or 1h30m, or seconds since 1970.",
        ),
        click.option("-f", "--follow", is_flag=True, help="Go on with lines as they are printed."),
    ):
        command = option(command)
    return command


class _Wish(msgspec.Struct, frozen=True):
    """How logs are to be shown."""

    follow: bool
    since: str
    tail: str
    timestamps: bool
    raw: bool


@click.command("logs")
@click.argument("name", metavar="SERVICE|TASK")
@_options
@click.pass_context
def logs(ctx: click.Context, /, *, name: str, **options: Any) -> None:
    """Show what the tasks of a service, or one task, printed.

    What a task wrote to standard error goes to standard error.
    """
    client = client_of(ctx)
    place, has_terminal = _find(client, name)
    _show(ctx, client, place, has_terminal=has_terminal, wish=_Wish(**options))


@click.command("logs")
@click.argument("name", metavar="STACK|SERVICE|TASK")
@_options
@click.pass_context
def stack_logs(ctx: click.Context, /, *, name: str, **options: Any) -> None:
    """Show what the tasks of a stack, of a service, or one task, printed.

    What a task wrote to standard error goes to standard error.
    """
    client = client_of(ctx)
    wish = _Wish(**options)
    services = client.services({"label": stack_label(name)})
    if not services:
        place, has_terminal = _find(client, name)
        _show(ctx, client, place, has_terminal=has_terminal, wish=wish)
        return
    with ThreadPoolExecutor(len(services)) as threads:  # a log takes a connection of its own
        running = [
            threads.submit(
                _show,
                ctx,
                client_of(ctx),
                f"services/{service['ID']}",
                has_terminal=_has_terminal(service["Spec"].get("TaskTemplate") or {}),
                wish=wish,
            )
            for service in sorted(services, key=lambda one: str(one["Spec"]["Name"]))
        ]
        for one in running:
            one.result()


def _show(
    ctx: click.Context, client: EngineClient, place: str, *, has_terminal: bool, wish: _Wish
) -> None:
    """Print one log as its lines come."""
    names = _Names(another_client(ctx))
    try:
        query = {
            "stdout": 1,
            "stderr": 1,
            "details": 1,
            "follow": int(wish.follow),
            "timestamps": int(wish.timestamps),
            "tail": wish.tail,
            "since": read_since(wish.since) or None,
        }
        lines = client.logs(place, query, framed=not has_terminal, moments=wish.timestamps)
        for line in lines:
            before = "" if wish.raw else f"{names.of(line)} | "
            moment = f"{line.moment} " if wish.timestamps else ""
            out = sys.stderr if line.is_error else sys.stdout
            out.buffer.write(f"{before}{moment}".encode() + line.text)
            out.flush()
    finally:
        names.client.close()


def _find(client: EngineClient, name: str) -> tuple[str, bool]:
    """The path of the service or task, and whether its containers have a terminal."""
    found: Json
    try:
        service = client.service(name)
        place, found = f"services/{service['ID']}", service["Spec"].get("TaskTemplate") or {}
    except NotFound:
        try:
            task = client.task(name)
        except NotFound:
            raise NotFound(404, f"no service and no task {name}") from None
        place, found = f"tasks/{task['ID']}", task.get("Spec") or {}
    return place, _has_terminal(found)


def _has_terminal(template: Json) -> bool:
    return bool((template.get("ContainerSpec") or {}).get("TTY"))


class _Names:
    """Names of tasks and nodes, each asked for once, beside the stream."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self._known: dict[str, str] = {}

    def of(self, line: LogLine) -> str:
        """Who printed a line: "web.1@h2"."""
        if line.task_id not in self._known:
            self._known[line.task_id] = self._ask(line)
        return self._known[line.task_id]

    def _ask(self, line: LogLine) -> str:
        try:
            task = self.client.task(line.task_id)
            service = self.client.service(task["ServiceID"])["Spec"]["Name"]
            node = node_name(self.client.node(line.node_id))
        except NotFound:  # removed meanwhile
            return f"{line.task_id}@{line.node_id}"
        return f"{service}.{task.get('Slot') or line.node_id}@{node}"
