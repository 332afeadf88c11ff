"""One service of the tree to its typed form."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable

import msgspec

from stack.compose.command_line import has_operators, split_words
from stack.compose.deploy_reader import read_deploy
from stack.compose.quantities import size_bytes
from stack.compose.reader import Reader
from stack.compose.tree import Mark, Scalar, fail, is_null
from stack.compose.types import Healthcheck, Mount, Port, Service, ServiceNetwork
from stack.compose.unsupported import Notice


class Surroundings(msgspec.Struct, frozen=True):
    """What a service's meaning depends on besides its own text."""

    folder: str  # relative paths start here
    home: str  # what ~ stands for
    lookup: Callable[[str], str | None]  # variables, for environment names without a value
    notice: Callable[[Notice], None]  # told of warnings


DEFAULT_NETWORK = "default"

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
        mounts=tuple(_mount(mark, item, around) for mark, item in reader.maps("volumes")),
        networks=_networks(reader),
        deploy=read_deploy(reader, around.notice),
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
        value = below.string(name) if not is_null(entry.value) else around.lookup(name)
        if value is None:
            problem = "has no value here and none in the environment: not passed on"
            around.notice(Notice(entry.key_mark, f"{below.path}.{name}: {problem}"))
        else:
            environment[name] = value
    return environment


def _healthcheck(reader: Reader) -> Healthcheck | None:
    if reader.node is None:
        return None
    test = reader.get("test")
    if isinstance(test, Scalar):
        words: tuple[str, ...] = ("CMD-SHELL", test.text)
    else:
        words = reader.strings("test")
        if words and words[0] not in ("CMD", "CMD-SHELL", "NONE"):
            raise reader.fail("test", f"must begin with CMD, CMD-SHELL or NONE, not {words[0]!r}")
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
        published = item.string("published")
        if mode != "host":
            raise fail(mark, item.path, _needs_host_mode(target, published))
        if item.string("host_ip"):
            problem = (
                f"publishing on {item.string('host_ip')} only is not supported yet: leave it out"
            )
            raise fail(mark, f"{item.path}.host_ip", problem)
        ports.append(
            Port(
                target=target,
                published=_published(mark, item, published),
                protocol=item.choice("protocol", ("tcp", "udp", "sctp")) or "tcp",
                mode=mode,
                name=item.string("name"),
            )
        )
    return tuple(ports)


def _needs_host_mode(target: int, published: str) -> str:
    long_form = f"{{target: {target}, published: {published or target}, mode: host}}"
    return (
        "publishing through every node (mode: ingress) is not supported yet: "
        f"write mode: host (long form), as {long_form}"
    )


def _published(mark: Mark, item: Reader, text: str) -> int:
    if not re.fullmatch(r"[0-9]*", text) or int(text or 0) > _HIGHEST_PORT:
        problem = f"{text!r} is no port: write one from 0 (any) to {_HIGHEST_PORT}"
        raise fail(mark, f"{item.path}.published", problem)
    return int(text or 0)


def _mount(mark: Mark, reader: Reader, around: Surroundings) -> Mount:
    kind = reader.choice("type", ("volume", "bind", "tmpfs")) or "volume"
    target, source = reader.string("target"), reader.string("source")
    if not target:
        raise fail(mark, reader.path, "a mount needs a target")
    if kind == "bind":
        if not source:
            raise fail(mark, reader.path, "a bind mount needs a source")
        source = _absolute(source, around)
    if kind == "tmpfs" and source:
        raise fail(mark, reader.path, "a tmpfs mount has no source")
    bind, volume, tmpfs = reader.below("bind"), reader.below("volume"), reader.below("tmpfs")
    return Mount(
        type=kind,
        source=source,
        target=target,
        read_only=bool(reader.boolean("read_only")),
        consistency=reader.string("consistency"),
        propagation=bind.string("propagation") if bind.node else None,
        has_volume_options=volume.node is not None,
        no_copy=bool(volume.boolean("nocopy")),
        subpath=volume.string("subpath"),
        tmpfs_size_bytes=size_bytes(tmpfs.string("size")) if tmpfs.has("size") else None,
        tmpfs_mode=tmpfs.integer("mode") or 0,
    )


def _absolute(source: str, around: Surroundings) -> str:
    if source == "~" or source.startswith("~/"):
        source = around.home + source[1:]
    if source.startswith("\\") or re.match(r"[A-Za-z]:", source):
        return source
    return os.path.normpath(os.path.join(around.folder, source))  # noqa: PTH118 (text only)


def _networks(reader: Reader) -> tuple[ServiceNetwork, ...]:
    joined = tuple(
        ServiceNetwork(
            name=name, aliases=item.strings("aliases"), driver_opts=item.string_map("driver_opts")
        )
        for name, item in reader.below("networks").children()
    )
    return joined or (ServiceNetwork(name=DEFAULT_NETWORK),)
