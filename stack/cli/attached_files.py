"""``stack secret`` and ``stack configs``: what services get as files."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import click

from stack.cli.session import client_of, now_s, say
from stack.cli.tables import age, label_list, list_options, object_format_option, show, show_objects
from stack.engine.payloads import FileKind, Json, Named
from stack.errors import UsageError

_COLUMNS = {"ID": "ID", "Name": "NAME", "CreatedAt": "CREATED", "UpdatedAt": "UPDATED"}


def _group(kind: FileKind, name: str, summary: str) -> click.Group:
    """The commands of one kind; both have the same."""
    group = click.Group(name, help=summary)

    @group.command("ls")
    @list_options
    @click.pass_context
    def ls(ctx: click.Context, *, form: str, quiet: bool) -> None:
        client = client_of(ctx)
        found = client.secrets() if kind == "secret" else client.configs()
        show(_rows(found), _COLUMNS, form=form, quiet=quiet)

    ls.help = f"List {kind}s."

    @group.command("create")
    @click.argument("name")
    @click.argument("file")
    @click.option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label.")
    @click.option(
        "--template-driver", default="", help="Fill the content in for each task: golang."
    )
    @click.pass_context
    def create(
        ctx: click.Context, name: str, file: str, labels: tuple[str, ...], template_driver: str
    ) -> None:
        request: Json = {
            "Name": name,
            "Labels": dict(_label(text) for text in labels),
            "Data": base64.b64encode(_content(file)).decode(),
        }
        if template_driver:
            request["Templating"] = {"Name": template_driver}
        say(client_of(ctx).create_file(kind, request))

    create.help = f"Create a {kind} from FILE, or from standard input for '-'; prints its ID."

    @group.command("inspect")
    @click.argument("names", nargs=-1, required=True, metavar="NAME...")
    @object_format_option
    @click.pass_context
    def inspect(ctx: click.Context, names: tuple[str, ...], *, form: str) -> None:
        client = client_of(ctx)
        ask = client.secret if kind == "secret" else client.config
        show_objects([ask(one) for one in names], form)

    inspect.help = f"Show {kind}s as JSON, as the API gives them."

    @group.command("rm")
    @click.argument("names", nargs=-1, required=True, metavar="NAME...")
    @click.pass_context
    def rm(ctx: click.Context, names: tuple[str, ...]) -> None:
        client = client_of(ctx)
        remove = client.remove_secret if kind == "secret" else client.remove_config
        for one in names:
            remove(one)
            say(one)

    rm.help = f"Remove {kind}s that no service uses."
    return group


secret = _group("secret", "secret", "List, create, inspect and remove secrets.")
configs = _group(
    "config",
    "configs",
    "List, create, inspect and remove configs of services ('stack config' shows compose files).",
)


def _rows(found: list[Named]) -> list[dict[str, str]]:
    now = now_s()
    rows = [
        {
            "ID": item["ID"],
            "Name": str(item["Spec"]["Name"]),
            "CreatedAt": age(item.get("CreatedAt", ""), now),
            "UpdatedAt": age(item.get("UpdatedAt", ""), now),
            "Driver": str((item["Spec"].get("Driver") or {}).get("Name", "")),
            "Labels": label_list(item["Spec"].get("Labels")),
        }
        for item in found
    ]
    return sorted(rows, key=lambda row: row["Name"])


def _label(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise UsageError(f"--label {text!r}: write KEY=VALUE")
    return key, value


def _content(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
