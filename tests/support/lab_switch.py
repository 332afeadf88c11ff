"""The network of a lab: a switch without an uplink, and a cable to each host."""

from __future__ import annotations

import hashlib
import ipaddress

from tests.support.lab_host import NETNS, Host, run


class Switch:
    """A bridge in a network namespace of its own."""

    def __init__(self, name: str, subnet: ipaddress.IPv4Network) -> None:
        """Name the switch of a lab; `up` makes it."""
        self.name = name
        self.subnet = subnet

    @property
    def exists(self) -> bool:
        """Whether it is there."""
        return (NETNS / self.name).exists()

    @property
    def name_server(self) -> str:
        """The address at which somebody refuses to look up names."""
        return str(self.subnet[-2])

    def up(self) -> None:
        """Make it, if it is not there."""
        if self.exists:
            return
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "add", "bridge", "type", "bridge")
        # Somebody at the name server's address refuses at once what would else time out.
        run(
            "ip",
            "-n",
            self.name,
            "address",
            "add",
            f"{self.name_server}/{self.subnet.prefixlen}",
            "dev",
            "bridge",
        )
        # By default a kernel refuses six times and then once a second: the others would time out.
        unlimited = "echo 0 >/proc/sys/net/ipv4/icmp_ratemask"
        run("ip", "netns", "exec", self.name, "sh", "-c", unlimited)
        for device in ("lo", "bridge"):
            run("ip", "-n", self.name, "link", "set", device, "up")

    def plug_in(self, host: Host) -> None:
        """Make a host's network namespace and its cable to the switch."""
        self.unplug(host)
        run("ip", "netns", "add", host.label)
        run(
            *("ip", "link", "add", host.name, "netns", self.name, "type", "veth", "peer"),
            *("name", "eth0", "address", _hardware_address(host), "netns", host.label),
        )
        run("ip", "-n", self.name, "link", "set", host.name, "master", "bridge", "up")
        run(
            "ip",
            "-n",
            host.label,
            "address",
            "add",
            f"{host.address}/{self.subnet.prefixlen}",
            "dev",
            "eth0",
        )
        for device in ("lo", "eth0"):
            run("ip", "-n", host.label, "link", "set", device, "up")

    def unplug(self, host: Host) -> None:
        """Remove a host's cable and network namespace."""
        if self.exists:
            # The kernel takes a namespace apart some time later; the cable's name must be free at once.
            run("ip", "-n", self.name, "link", "delete", host.name, check=False)
        if (NETNS / host.label).exists():
            run("ip", "netns", "delete", host.label)

    def set_link(self, host: Host, state: str, *, check: bool = True) -> None:
        """Pull a host's cable out ("down"), or plug it in again ("up")."""
        run("ip", "-n", self.name, "link", "set", host.name, state, check=check)

    def down(self) -> None:
        """Remove it, if it is there."""
        if self.exists:
            run("ip", "netns", "delete", self.name)


def _hardware_address(host: Host) -> str:
    """The address of a host's network card, which keeps it while the power is off.

    With a new one, its peers would for half a minute send to the old.
    """
    digest = hashlib.sha256(host.label.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))  # 02: given locally
