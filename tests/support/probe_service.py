"""Services whose tasks are probes: they say who they are and whom they see, over TCP and UDP."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.lab_host import ROOT

PROBE = ROOT / "tests/support/network_probe.py"
PORT = 8000
LISTENS = ["CMD", "grep", "-q", f":{PORT:04X} 00000000:0000 0A", "/proc/net/tcp"]


def server(*ports: Any, replicas: int = 2, **deploy: Any) -> dict[str, Any]:
    """A compose service with a probe's server on `PORT`; its tasks are named by their slots."""
    return {
        "image": "stackyard/test:1",
        "command": ["sh", "-c", f'exec python3 -c "$$PROBE" serve "$$NAME" {PORT}'],
        "environment": {"PROBE": PROBE.read_text(), "NAME": "{{.Task.Slot}}"},
        "stdin_open": True,  # the server ends with its input
        "healthcheck": {"test": LISTENS, "interval": "1s", "timeout": "20s", "start_period": "60s"},
        "ports": list(ports),
        "deploy": {
            "replicas": replicas,
            "restart_policy": {"delay": "1s"},
            "update_config": {"order": "start-first"},
            **deploy,
        },
    }


def both(published: int, **more: Any) -> list[dict[str, Any]]:
    """A port for TCP and UDP in its long form."""
    port = {"target": PORT, "published": published, **more}
    return [{**port, "protocol": kind} for kind in ("tcp", "udp")]


def probe(*arguments: object) -> list[str]:
    """The command line of a probe on this machine."""
    return [sys.executable, str(PROBE), *map(str, arguments)]


class Load:
    """Requests that go on; what became of them is known at the end."""

    good = 0
    bad = 0
    errors: Sequence[str] = ()


@contextlib.contextmanager
def load(*commands: Sequence[str]) -> Iterator[Load]:
    """Run clients (`load` of the probe) as long as the context lasts."""
    tally = Load()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(
                subprocess.Popen(c, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for c in commands
        ]
        yield tally
        for client in clients:
            said, _ = client.communicate("")
            good, bad, *errors = said.splitlines()
            tally.good += int(good)
            tally.bad += int(bad)
            tally.errors = [*tally.errors, *errors]
