"""What makes the container of a service one that an engine can run.

An engine would refuse these when a task starts, on every node and after every restart.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from cluster.errors import InvalidArgument
from cluster.model import templates
from cluster.model.container import ContainerSpec, HealthCheck, Mount
from cluster.model.units import MILLISECOND_NS

_PLACE: Final = "TaskTemplate.ContainerSpec"
_HOST_GATEWAY: Final = "host-gateway"  # the engine puts its own address in its place
_MAX_SIGNAL: Final = 64
_SIGNAL: Final = re.compile(
    r"ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|STKFLT|"
    r"STOP|SYS|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ|"
    r"RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?"
)


def check_container(container: ContainerSpec) -> None:
    """Check the settings of a container that have a form of their own.

    Raises:
        InvalidArgument: a setting that is wrong; the value of a variable is never shown.
    """
    templates.check(container.hostname, f"{_PLACE}.Hostname")
    for number, text in enumerate(container.env):
        _check_variable(f"{_PLACE}.Env[{number}]", text)
    for number, mount in enumerate(container.mounts):
        _check_mount(f"{_PLACE}.Mounts[{number}]", mount)
    for number, entry in enumerate(container.hosts):
        _check_host(f"{_PLACE}.Hosts[{number}]", entry)
    if container.stop_signal and not _is_signal(container.stop_signal):
        raise InvalidArgument(
            f"{_PLACE}.StopSignal: invalid signal: {container.stop_signal!r}; give a name, such as "
            f"SIGTERM, or a number from 1 to {_MAX_SIGNAL}"
        )
    if container.health_check is not None:
        _check_health(container.health_check)


def _check_variable(place: str, text: str) -> None:
    name, _, value = text.partition("=")
    if not name:
        raise InvalidArgument(f"{place}: a variable without a name")
    if "\n" in name or "\r" in name:
        raise InvalidArgument(f"{place}: the name of the variable holds a line break: leave it out")
    templates.check(value, place)


def _check_mount(place: str, mount: Mount) -> None:
    templates.check(mount.source, f"{place}.Source")
    templates.check(mount.target, f"{place}.Target")
    volume = mount.volume_options
    if volume is not None:
        options = volume.driver_config.options if volume.driver_config is not None else None
        for kind, texts in (("Labels", volume.labels), ("DriverConfig.Options", options)):
            for name, text in (texts or {}).items():
                templates.check(text, f"{place}.VolumeOptions.{kind}.{name}")
    target = mount.target
    # A path that begins with a template is known only where the task runs.
    if not target.startswith(("/", "{{")):
        raise InvalidArgument(
            f"{place}.Target: invalid mount target, must be an absolute path: {target!r}"
        )
    if not target.strip("/."):
        raise InvalidArgument(f"{place}.Target: {target!r} is the container's root; mount below it")


def _check_host(place: str, entry: str) -> None:
    address, *names = entry.split() or [""]
    if not names or not _is_address(address):
        raise InvalidArgument(
            f"{place}: {entry!r} is not an IP address (or {_HOST_GATEWAY}) and a name: "
            "write it as in a hosts file, such as '10.0.0.5 database'"
        )


def _is_address(text: str) -> bool:
    if text == _HOST_GATEWAY:
        return True
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _is_signal(text: str) -> bool:
    if text.isascii() and text.isdigit():
        return 1 <= int(text) <= _MAX_SIGNAL
    return _SIGNAL.fullmatch(text.upper().removeprefix("SIG")) is not None


def _check_health(check: HealthCheck) -> None:
    place = f"{_PLACE}.Healthcheck"
    for name, duration_ns in (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ):
        if duration_ns and duration_ns < MILLISECOND_NS:
            raise InvalidArgument(
                f"{place}.{name}: {duration_ns} ns: cannot be less than 1ms; 0 means the default"
            )
    if check.retries < 0:
        raise InvalidArgument(f"{place}.Retries: {check.retries} is below 0")
