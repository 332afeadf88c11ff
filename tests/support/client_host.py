"""A machine beside the hosts of a lab, which is no node of the cluster: a network namespace."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from tests.support.lab import Lab
from tests.support.lab_host import NETNS, run


class ClientHost:
    """The client on a lab's switch; `address` is what servers are to see of it."""

    def __init__(self, lab: Lab) -> None:
        """Take its place in a lab, whether it is plugged in or not."""
        self._lab = lab
        self._namespace = f"{lab.label}-client"
        self.address = str(lab.subnet[100])

    @contextlib.contextmanager
    def plugged_in(self) -> Iterator[ClientHost]:
        """Have it on the switch as long as the context lasts."""
        switch = self._lab.switch.name
        self._remove()
        run("ip", "netns", "add", self._namespace)
        try:
            run(
                *("ip", "link", "add", "client", "netns", switch, "type", "veth", "peer"),
                *("name", "eth0", "netns", self._namespace),
            )
            run("ip", "-n", switch, "link", "set", "client", "master", "bridge", "up")
            address = f"{self.address}/{self._lab.subnet.prefixlen}"
            run("ip", "-n", self._namespace, "address", "add", address, "dev", "eth0")
            for device in ("lo", "eth0"):
                run("ip", "-n", self._namespace, "link", "set", device, "up")
            yield self
        finally:
            self._remove()

    def argv(self, *command: str) -> list[str]:
        """The command line that runs something on the client."""
        return ["nsenter", f"--net={NETNS / self._namespace}", "--", *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run something on the client and catch what it prints."""
        return run(*self.argv(*command), check=False, timeout_s=120)

    def _remove(self) -> None:
        # The kernel takes a namespace apart some time later; the cable's name must be free at once.
        run("ip", "-n", self._lab.switch.name, "link", "delete", "client", check=False)
        run("ip", "netns", "delete", self._namespace, check=False)
