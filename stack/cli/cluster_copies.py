"""``stack cluster backup|restore``: a copy of the whole cluster in one file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from stack.cli.cluster_identity import secret_text
from stack.cli.node_options import node_options
from stack.cli.session import client_of, say
from stack.errors import StackError, UsageError

_VARIABLE = "STACK_BACKUP_PASSPHRASE"

_passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File that holds the passphrase. Default: {_VARIABLE}, or it is asked for.",
)


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_passphrase_option
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.pass_context
def backup(ctx: click.Context, file: Path, *, passphrase_file: Path | None, force: bool) -> None:
    """Write a copy of the whole cluster to FILE while it runs.

    It holds all services, secrets and keys, sealed with a passphrase of at least 8 characters.
    Any manager can be asked. Data in volumes and images are not in it.
    """
    if file.exists() and not force:
        raise UsageError(f"{file}: exists already; --force replaces it")
    client = client_of(ctx)
    passphrase = secret_text(passphrase_file, _VARIABLE, "Passphrase", confirm=True)
    content = client.backup(passphrase)
    fresh = file.with_name(file.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())
        fresh.rename(file)
    except OSError as error:
        raise StackError(f"{file}: cannot be written: {error.strerror}") from error
    say(f"{file}: {len(content)} bytes. Without the passphrase it is of no use.")


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_passphrase_option
@node_options
@click.pass_context
def restore(
    ctx: click.Context,
    file: Path,
    *,
    passphrase_file: Path | None,
    advertise_addr: str,
    listen_addr: str,
    availability: str,
) -> None:
    """Make this node, which is in no cluster, the one manager of the cluster in FILE.

    Its services start here at once. Its former managers are shut out, so end them first if any
    still runs; workers come back if they find a manager at an address they know, or join anew.
    """
    client = client_of(ctx)
    passphrase = secret_text(passphrase_file, _VARIABLE, "Passphrase")
    request = {
        "Passphrase": passphrase,
        "ListenAddr": listen_addr,
        "AdvertiseAddr": advertise_addr,
        "Availability": availability,
    }
    node_id = client.restore(file.read_bytes(), request)
    say(f"Cluster restored: this node ({node_id}) is its manager.")
    say("Join tokens are those of the backup: see 'stack cluster token'.")
