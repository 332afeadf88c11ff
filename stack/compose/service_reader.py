"""One service of the tree to its typed form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

from stack.compose.command_line import has_operators, split_words
from stack.compose.container_reader import read_container
from stack.compose.deploy_reader import read_deploy
from stack.compose.notice import Notice
from stack.compose.quantities import size_bytes
from stack.compose.reader import Reader
from stack.compose.tree import Mark, Scalar, fail, is_null
from stack.compose.types import (
    CredentialSpec,
    Dependency,
    FileReference,
    Healthcheck,
    Mount,
    Port,
    Service,
    ServiceNetwork,
)


class Surroundings(msgspec.Struct, frozen=True):
    """What a service's meaning depends on besides its own text."""

    folder: str  # of the project
    environment: Mapping[str, str]
    read_file: Callable[[str], bytes | None]
    notice: Callable[[Notice], None]  # told of warnings


_IMAGE = re.compile(
    r"(?:[A-Za-z0-9.\-]+(?::[0-9]+)?/|\[[0-9A-Fa-f:]+\](?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::\w[\w.\-]{0,127})?(?:@[A-Za-z][A-Za-z0-9.+_\-]*:[0-9A-Fa-f]{32,})?"
)


def read_service(name: str, reader: Reader, around: Surroundings) -> Service:
    """Read and check a service.

    Raises:
        ComposeError: a value of the wrong kind or without meaning, or no image.
    """
    if reader.node is None:
        raise fail(Mark(around.folder), reader.path, "is empty: it needs at least an image")
    if not reader.string("image"):
        reason = "has no image" + (
            ": 'build' is not done by a stack; build and push an image, then name it here"
            if reader.has("build")
            else ""
        )
        raise fail(reader.node.mark, reader.path, reason)
    if not _IMAGE.fullmatch(reader.string("image")):
        problem = f"{reader.string('image')!r} is no image: write [registry/]name[:tag][@digest]"
        raise reader.fail("image", problem)
    return Service(
        name=name,
        image=reader.string("image"),
        command=_words(reader, "command", around),
        entrypoint=_words(reader, "entrypoint", around),
        environment=_environment(reader, around),
        labels=reader.string_map("labels") or {},
        working_dir=reader.string("working_dir"),
        user=reader.string("user"),
        hostname=reader.string("hostname"),
        stop_grace_period_ns=reader.duration("stop_grace_period"),
        stop_signal=reader.string("stop_signal"),
        init=reader.boolean("init"),
        tty=bool(reader.boolean("tty")),
        stdin_open=bool(reader.boolean("stdin_open")),
        read_only=bool(reader.boolean("read_only")),
        healthcheck=_healthcheck(reader.below("healthcheck")),
        ports=_ports(reader),
        mounts=(
            *(_mount(mark, item) for mark, item in reader.maps("volumes")),
            *_tmpfs_mounts(reader),
        ),
        networks=_networks(reader),
        network_mode=_network_mode(reader),
        deploy=read_deploy(reader, around.notice),
        configs=_file_references(reader, "configs"),
        secrets=_file_references(reader, "secrets"),
        credential_spec=_credential_spec(reader.below("credential_spec")),
        depends_on=_dependencies(reader.below("depends_on")),
        pre_deploy=_pre_deploy(reader.below("x-stack")),
        links=_links(reader),
        **read_container(reader),
    )


def _words(reader: Reader, key: str, around: Surroundings) -> tuple[str, ...]:
    value = reader.get(key)
    if not isinstance(value, Scalar):
        words = reader.strings(key)
    else:
        try:
            words = split_words(value.text)
        except ValueError as error:
            raise reader.fail(key, str(error)) from None
        if has_operators(words):
            problem = "no shell runs this: write [sh, -c, '…'] if one should"
            around.notice(Notice(reader.mark(key), f"{reader.path}.{key}: {problem}"))
    if value is not None and not words:
        problem = "an empty value cannot clear what the image says; it has no effect"
        around.notice(Notice(reader.mark(key), f"{reader.path}.{key}: {problem}"))
    return words


def _environment(reader: Reader, around: Surroundings) -> dict[str, str]:
    below = reader.below("environment")
    environment: dict[str, str] = {}
    for name, entry in (below.node.entries if below.node else {}).items():
        if is_null(entry.value):
            problem = "has no value here and none in the environment: not passed on"
            around.notice(Notice(entry.key_mark, f"{below.path}.{name}: {problem}"))
        else:
            environment[name] = below.string(name)
    return environment


def _healthcheck(reader: Reader) -> Healthcheck | None:
    if reader.node is None:
        return None
    words = reader.strings("test")
    if reader.boolean("disable"):
        if words and words[0] != "NONE":
            raise reader.fail("disable", "'test' and 'disable: true' exclude each other")
        return Healthcheck(test=("NONE",))
    return Healthcheck(
        test=words,
        interval_ns=reader.duration("interval") or 0,
        timeout_ns=reader.duration("timeout") or 0,
        start_period_ns=reader.duration("start_period") or 0,
        start_interval_ns=reader.duration("start_interval") or 0,
        retries=reader.integer("retries") or 0,
    )


_HIGHEST_PORT = 65535


def _ports(reader: Reader) -> tuple[Port, ...]:
    ports: list[Port] = []
    for mark, item in reader.maps("ports"):
        mode = item.choice("mode", ("ingress", "host")) or "ingress"
        target = item.integer("target")
        if target is None or not 1 <= target <= _HIGHEST_PORT:
            raise fail(mark, f"{item.path}.target", f"must be a port from 1 to {_HIGHEST_PORT}")
        first, last = _published(mark, item, item.string("published"))
        ports.append(
            Port(
                target=target,
                published=first,
                published_end=last,
                host_ip=item.string("host_ip"),
                hide_client=item.boolean("x-hide-client") or False,
                app_protocol=item.string("app_protocol"),
                protocol=item.choice("protocol", ("tcp", "udp", "sctp")) or "tcp",
                mode=mode,
                name=item.string("name"),
            )
        )
    return tuple(ports)


def _published(mark: Mark, item: Reader, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{0,9})(?:-([0-9]{1,9}))?", text)
    first, last = (int(match[1] or 0), int(match[2] or 0)) if match else (-1, -1)
    if not 0 <= first <= _HIGHEST_PORT or not (last == 0 or first <= last <= _HIGHEST_PORT):
        problem = f"{text!r} is no port: write one from 0 (any) to {_HIGHEST_PORT}"
        raise fail(mark, f"{item.path}.published", problem)
    return first, last


_MOUNT_TYPES = ("volume", "bind", "tmpfs", "npipe", "cluster", "image")


def _mount(mark: Mark, reader: Reader) -> Mount:
    kind = reader.choice("type", _MOUNT_TYPES) or "volume"
    target, source = reader.string("target"), reader.string("source")
    if not target:
        raise fail(mark, reader.path, "a mount needs a target")
    if kind == "bind" and not source:
        raise fail(mark, reader.path, "a bind mount needs a source")
    if kind == "tmpfs" and source:
        raise fail(mark, reader.path, "a tmpfs mount has no source")
    bind, volume, tmpfs = reader.below("bind"), reader.below("volume"), reader.below("tmpfs")
    return Mount(
        type=kind,
        source=source,
        target=target,
        read_only=bool(reader.boolean("read_only")),
        consistency=reader.string("consistency"),
        propagation=bind.string("propagation") if bind.has("propagation") else None,
        selinux=bind.string("selinux"),
        recursive=bind.string("recursive"),
        create_host_path=bool(bind.boolean("create_host_path")),
        has_volume_options=bool(volume.node and volume.node.entries),
        no_copy=bool(volume.boolean("nocopy")),
        subpath=volume.string("subpath") or reader.below("image").string("subpath"),
        volume_labels=volume.string_map("labels") or {},
        tmpfs_size_bytes=tmpfs.size("size") if tmpfs.has("size") else None,
        tmpfs_mode=tmpfs.integer("mode") or 0,
    )


def _tmpfs_mounts(reader: Reader) -> Iterator[Mount]:
    for text in reader.strings("tmpfs"):
        target, _, rest = text.partition(":")
        size, mode, options = None, 0, []
        for option in rest.split(",") if rest else ():
            name, _, value = option.partition("=")
            try:
                if name == "size":
                    size = size_bytes(value)
                elif name == "mode":
                    mode = int(value, 8)
                else:
                    options.append(option)
            except ValueError:
                problem = f"{text!r}: {value!r} is no {name}: write like /run:size=64m,mode=1777"
                raise reader.fail("tmpfs", problem) from None
        yield Mount(
            type="tmpfs",
            target=target,
            tmpfs_size_bytes=size,
            tmpfs_mode=mode,
            tmpfs_options=tuple(options),
        )


def _networks(reader: Reader) -> tuple[ServiceNetwork, ...]:
    return tuple(
        ServiceNetwork(
            name=name,
            aliases=item.strings("aliases"),
            driver_opts=item.string_map("driver_opts"),
            ipv4_address=item.string("ipv4_address"),
            ipv6_address=item.string("ipv6_address"),
            link_local_ips=item.strings("link_local_ips"),
            mac_address=item.string("mac_address"),
            priority=item.integer("priority", _ANY) or 0,
            gw_priority=item.integer("gw_priority", _ANY) or 0,
            interface_name=item.string("interface_name"),
        )
        for name, item in reader.below("networks").children()
    )


_ANY = -(2**63)  # no lower bound


def _network_mode(reader: Reader) -> str:
    mode = reader.string("network_mode")
    if mode.startswith(("service:", "container:")):
        problem = f"{mode!r} is not supported: the other container may be on another node"
        raise reader.fail("network_mode", problem)
    return mode


def _file_references(reader: Reader, key: str) -> tuple[FileReference, ...]:
    return tuple(
        FileReference(
            source=item.string("source"),
            target=item.string("target").removeprefix("/run/secrets/")
            if key == "secrets"
            else item.string("target"),
            uid=item.string("uid"),
            gid=item.string("gid"),
            mode=item.integer("mode"),
        )
        for _, item in reader.maps(key)
    )


def _credential_spec(reader: Reader) -> CredentialSpec | None:
    if reader.node is None:
        return None
    return CredentialSpec(
        config=reader.string("config"),
        file=reader.string("file"),
        registry=reader.string("registry"),
    )


def _dependencies(reader: Reader) -> dict[str, Dependency]:
    return {
        name: Dependency(
            condition=item.string("condition") or "service_started",
            restart=bool(item.boolean("restart")),
            required=item.boolean("required") is not False,
        )
        for name, item in reader.children()
    }


def _pre_deploy(extension: Reader) -> bool:
    """Read our own part of a service, of which Docker's clients know nothing."""
    for name in extension.node.entries if extension.node else ():
        if name != "pre_deploy":
            raise extension.fail(name, "unknown; there is pre_deploy: true")
    return bool(extension.boolean("pre_deploy"))


def _links(reader: Reader) -> dict[str, str]:
    pairs = (text.partition(":") for text in reader.strings("links"))
    return {alias or name: name for name, _, alias in pairs}
