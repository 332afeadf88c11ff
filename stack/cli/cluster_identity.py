"""``stack cluster ca|unlock|unlock-key``: who the cluster believes, and what locks managers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stack.cli.session import client_of, say
from stack.compose.quantities import duration_ns
from stack.engine.client import EngineClient
from stack.errors import StackError, UsageError

PAUSE_S = 0.1
PATIENCE_S = 120.0


@click.command("ca")
@click.option("--rotate", is_flag=True, help="Replace the root; nodes get new certificates.")
@click.option(
    "--ca-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --rotate: a root certificate of your own (PEM) in place of a fresh one.",
)
@click.option(
    "--ca-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The key of --ca-cert (PEM, ECDSA, without passphrase).",
)
@click.option(
    "--cert-expiry",
    metavar="DURATION",
    help="Validity of certificates that nodes get from now on, such as 720h.",
)
@click.option("--detach", is_flag=True, help="Do not wait until the nodes have followed.")
@click.pass_context
def ca(
    ctx: click.Context,
    *,
    rotate: bool,
    ca_cert: Path | None,
    ca_key: Path | None,
    cert_expiry: str | None,
    detach: bool,
) -> None:
    """Show the root certificate that nodes trust, or replace it.

    While it is replaced the cluster goes on. Workers that are away are not waited for; they follow
    when they come back. Managers are waited for. Join tokens change with the root.
    """
    if (ca_cert is None) != (ca_key is None):
        raise UsageError("--ca-cert and --ca-key go together")
    if not rotate and (ca_cert or detach):
        raise UsageError("--ca-cert, --ca-key and --detach go with --rotate")
    client = client_of(ctx)
    if rotate or cert_expiry:
        _change(client, rotate=rotate, cert=ca_cert, key=ca_key, expiry=cert_expiry)
    if not rotate:
        say(client.cluster()["TLSInfo"]["TrustRoot"].rstrip("\n"))
        return
    if detach:
        return
    _until(client, lambda found: not found["RootRotationInProgress"] and _follow(client, found))
    behind = [
        str((node.get("Description") or {}).get("Hostname") or node["ID"])
        for node in client.nodes()
        if (node.get("Status") or {}).get("State") == "down"
    ]
    say("The root is replaced. Join tokens have changed: see 'stack cluster token'.")
    if behind:
        say(f"Away, and following when they are back: {', '.join(sorted(behind))}.")


def _change(
    client: EngineClient, *, rotate: bool, cert: Path | None, key: Path | None, expiry: str | None
) -> None:
    found = client.cluster()
    spec: dict[str, Any] = found["Spec"]
    config = spec["CAConfig"] = {**(spec.get("CAConfig") or {})}
    if expiry:
        try:
            config["NodeCertExpiry"] = duration_ns(expiry)
        except ValueError as error:
            raise UsageError(f"--cert-expiry: {error}") from error
    if cert is not None and key is not None:
        config["SigningCACert"] = cert.read_text()
        config["SigningCAKey"] = key.read_text()
    elif rotate:
        config["ForceRotate"] = config.get("ForceRotate", 0) + 1
    client.update_cluster(found["Version"]["Index"], spec)


def _follow(client: EngineClient, found: dict[str, Any]) -> bool:
    """Whether every node that is there trusts the root and has a certificate of it."""
    return all(
        (node.get("Description") or {}).get("TLSInfo") == found["TLSInfo"]
        for node in client.nodes()
        if (node.get("Status") or {}).get("State") == "ready"
    )


def _until(client: EngineClient, is_done: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_done(client.cluster()):
        if time.monotonic() > deadline:
            raise StackError(
                f"not done within {PATIENCE_S:.0f} s; it goes on in the background:"
                " see 'stack node ls', column TLS, for nodes that do not follow; a manager that is"
                " away is waited for until it is back, or demoted and removed"
            )
        time.sleep(PAUSE_S)


@click.command("unlock")
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds the unlock key. Default: STACK_UNLOCK_KEY, or it is asked for.",
)
@click.pass_context
def unlock(ctx: click.Context, *, key_file: Path | None) -> None:
    """Give the unlock key to this manager, which was restarted and is locked."""
    client = client_of(ctx)
    state = (client.info().get("Swarm") or {}).get("LocalNodeState")
    if state != "locked":
        raise StackError(f"this node is not locked (it is {state})")
    key = secret_text(key_file, "STACK_UNLOCK_KEY", "Unlock key")
    client.unlock(key)
    say("This manager is unlocked.")


@click.command("unlock-key")
@click.option("--rotate", is_flag=True, help="Make a new key; the old one is void.")
@click.option("-q", "--quiet", is_flag=True, help="Only the key.")
@click.pass_context
def unlock_key(ctx: click.Context, *, rotate: bool, quiet: bool) -> None:
    """Show the key that a restarted manager asks for."""
    client = client_of(ctx)
    if rotate:
        found = client.cluster()
        client.update_cluster(found["Version"]["Index"], found["Spec"], rotateManagerUnlockKey=True)
    key = client.unlock_key()
    if not key:
        raise StackError(
            "managers do not lock themselves: 'stack cluster lock on' makes them do so"
        )
    if quiet:
        say(key)
        return
    say("To unlock a manager after it was restarted, run 'stack cluster unlock' there and give:\n")
    say(f"    {key}\n")
    say("Keep it outside of the cluster: without it a manager cannot start again.")


@click.command("lock")
@click.argument("switch", type=click.Choice(["on", "off"]))
@click.pass_context
def lock(ctx: click.Context, *, switch: str) -> None:
    """Have managers lock themselves when they stop, or no longer."""
    client = client_of(ctx)
    found = client.cluster()
    spec: dict[str, Any] = found["Spec"]
    spec["EncryptionConfig"] = {"AutoLockManagers": switch == "on"}
    client.update_cluster(found["Version"]["Index"], spec)
    if switch == "on":
        ctx.invoke(unlock_key, rotate=False, quiet=False)
    else:
        say("Managers start without a key from now on.")


def secret_text(file: Path | None, variable: str, prompt: str, *, confirm: bool = False) -> str:
    """Return what a user keeps secret: from a file, a variable of the environment, or asked for.

    Raises:
        UsageError: there is none of them, or it is empty.
    """
    if file is not None:
        given = file.read_text().rstrip("\r\n")
    elif variable in os.environ:
        given = os.environ[variable]
    elif sys.stdin.isatty():
        given = str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise UsageError(f"{prompt}: none was given (as a file, in {variable}, or typed)")
    return given
