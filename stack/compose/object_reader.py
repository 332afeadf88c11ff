"""Networks, volumes, configs and secrets of the tree to their typed form."""

from __future__ import annotations

from stack.compose.reader import Reader
from stack.compose.service_reader import Surroundings
from stack.compose.types import FileObject, IpamConfig, Network, Volume


def read_network(key: str, reader: Reader, project: str) -> Network:
    """Read a network.

    Raises:
        ComposeError: a value of the wrong kind.
    """
    ipam = reader.below("ipam")
    return Network(
        key=key,
        name=_own_name(key, reader, project),
        external=bool(reader.boolean("external")),
        driver=reader.string("driver"),
        driver_opts=reader.string_map("driver_opts"),
        attachable=bool(reader.boolean("attachable")),
        internal=bool(reader.boolean("internal")),
        labels=reader.string_map("labels") or {},
        ipam_driver=ipam.string("driver"),
        ipam_config=tuple(
            IpamConfig(
                subnet=item.string("subnet"),
                gateway=item.string("gateway"),
                ip_range=item.string("ip_range"),
                aux_addresses=item.string_map("aux_addresses") or {},
            )
            for _, item in ipam.maps("config")
        ),
        ipam_options=ipam.string_map("options") or {},
        enable_ipv4=reader.boolean("enable_ipv4"),
        enable_ipv6=reader.boolean("enable_ipv6"),
    )


def read_volume(key: str, reader: Reader, project: str) -> Volume:
    """Read a named volume.

    Raises:
        ComposeError: a value of the wrong kind.
    """
    return Volume(
        key=key,
        name=_own_name(key, reader, project),
        external=bool(reader.boolean("external")),
        driver=reader.string("driver"),
        driver_opts=reader.string_map("driver_opts"),
        labels=reader.string_map("labels") or {},
    )


def read_file_object(key: str, reader: Reader, project: str, around: Surroundings) -> FileObject:
    """Read a config or secret, with its content.

    Raises:
        ComposeError: its file or variable is not there.
    """
    return FileObject(
        key=key,
        name=_own_name(key, reader, project),
        external=bool(reader.boolean("external")),
        content=_content(reader, around),
        labels=reader.string_map("labels") or {},
        template_driver=reader.string("template_driver"),
        driver=reader.string("driver"),
        driver_opts=reader.string_map("driver_opts"),
    )


def _content(reader: Reader, around: Surroundings) -> bytes | None:
    if reader.has("file"):
        path = reader.string("file")
        content = around.read_file(path)
        if content is None:
            raise reader.fail("file", f"there is no file {path}")
        return content
    if reader.has("environment"):
        name = reader.string("environment")
        if name not in around.environment:
            raise reader.fail("environment", f"the variable {name} is not set")
        return around.environment[name].encode()
    return reader.string("content").encode() if reader.has("content") else None


def _own_name(key: str, reader: Reader, project: str) -> str:
    """The full name that the file gives; "" when it is the usual one."""
    name = reader.string("name")
    usual = key if reader.boolean("external") else f"{project}_{key}"
    return "" if name == usual else name
