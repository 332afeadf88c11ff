"""The options of ``stack service create`` and ``update``, as one table, and what they do to a spec.

Names and meanings are those of Docker's client.  A *setting* has one value; a *list* is given by
repeating its option, and changed by ``--NAME-add`` and ``--NAME-rm``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import msgspec

from stack.engine.payloads import Json
from stack.translate import option_values as v

_CONTAINER = "TaskTemplate.ContainerSpec"
_RESTART = "TaskTemplate.RestartPolicy"
_LIMITS = "TaskTemplate.Resources.Limits"
_RESERVED = "TaskTemplate.Resources.Reservations"
_PLACEMENT = "TaskTemplate.Placement"


class Setting(msgspec.Struct, frozen=True):
    """An option with one value."""

    name: str
    path: str
    read: v.Reader
    metavar: str
    help: str
    choices: tuple[str, ...] = ()


class Switch(msgspec.Struct, frozen=True):
    """An option that is on or off."""

    name: str
    path: str
    help: str
    short: str = ""


class Many(msgspec.Struct, frozen=True):
    """An option that may be repeated.

    `identity` gives what ``--NAME-rm`` names, and what a later entry replaces.  Entries of a
    mapping are pairs.
    """

    name: str
    path: str
    read: v.Reader
    metavar: str
    help: str
    identity: Callable[[Any], str] = str
    is_mapping: bool = False
    short: str = ""


def _of_name(item: Json) -> str:
    return str(item["File"]["Name"])


def _of_port(item: Json) -> str:
    return f"{item.get('TargetPort', 0)}/{item.get('Protocol') or 'tcp'}"


def _of_variable(item: str) -> str:
    return item.partition("=")[0]


def _policy(which: str) -> tuple[Setting, ...]:
    path, name = f"{which.capitalize()}Config", which
    actions = ("pause", "continue", "rollback") if which == "update" else ("pause", "continue")
    return (
        Setting(f"{name}-parallelism", f"{path}.Parallelism", v.whole, "N",
                "Tasks replaced at once; 0 for all."),
        Setting(f"{name}-delay", f"{path}.Delay", v.duration, "DURATION", "Pause after each."),
        Setting(f"{name}-monitor", f"{path}.Monitor", v.duration, "DURATION",
                "How long a new task is watched."),
        Setting(f"{name}-failure-action", f"{path}.FailureAction", v.plain, "ACTION",
                "What follows when too many fail.", actions),
        Setting(f"{name}-max-failure-ratio", f"{path}.MaxFailureRatio", v.ratio, "RATIO",
                "The part that may fail, 0 to 1."),
        Setting(f"{name}-order", f"{path}.Order", v.plain, "ORDER",
                "Whether the old task stops first or the new one starts first.",
                ("stop-first", "start-first")),
    )  # fmt: skip


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("replicas", "Mode.Replicated.Replicas", v.whole, "N", "Number of tasks."),
    Setting("hostname", f"{_CONTAINER}.Hostname", v.plain, "NAME", "Host name in the container."),
    Setting("user", f"{_CONTAINER}.User", v.plain, "USER", "User, and perhaps group."),
    Setting("workdir", f"{_CONTAINER}.Dir", v.plain, "PATH", "Working directory."),
    Setting("entrypoint", f"{_CONTAINER}.Command", v.words, "COMMAND", "In place of the image's."),
    Setting("stop-signal", f"{_CONTAINER}.StopSignal", v.plain, "SIGNAL", "What asks it to stop."),
    Setting("stop-grace-period", f"{_CONTAINER}.StopGracePeriod", v.duration, "DURATION",
            "Time between that and a kill."),
    Setting("limit-cpu", f"{_LIMITS}.NanoCPUs", v.cpus, "N", "At most so many processors."),
    Setting("limit-memory", f"{_LIMITS}.MemoryBytes", v.size, "BYTES", "At most so much memory."),
    Setting("limit-pids", f"{_LIMITS}.Pids", v.whole, "N", "At most so many processes."),
    Setting("reserve-cpu", f"{_RESERVED}.NanoCPUs", v.cpus, "N", "Processors that must be free."),
    Setting("reserve-memory", f"{_RESERVED}.MemoryBytes", v.size, "BYTES",
            "Memory that must be free."),
    Setting("replicas-max-per-node", f"{_PLACEMENT}.MaxReplicas", v.whole, "N",
            "At most so many tasks a node; 0 for any number."),
    Setting("restart-condition", f"{_RESTART}.Condition", v.plain, "CONDITION",
            "When a task is followed by another.", ("none", "on-failure", "any")),
    Setting("restart-delay", f"{_RESTART}.Delay", v.duration, "DURATION", "Pause before that."),
    Setting("restart-max-attempts", f"{_RESTART}.MaxAttempts", v.whole, "N",
            "At most so often; 0 for ever."),
    Setting("restart-window", f"{_RESTART}.Window", v.duration, "DURATION",
            "Time in which attempts are counted."),
    *_policy("update"),
    *_policy("rollback"),
    Setting("health-cmd", f"{_CONTAINER}.Healthcheck.Test", v.shell_check, "COMMAND",
            "What a shell runs to see whether it is healthy."),
    Setting("health-interval", f"{_CONTAINER}.Healthcheck.Interval", v.duration, "DURATION",
            "Time between two checks."),
    Setting("health-timeout", f"{_CONTAINER}.Healthcheck.Timeout", v.duration, "DURATION",
            "Time that a check may take."),
    Setting("health-retries", f"{_CONTAINER}.Healthcheck.Retries", v.whole, "N",
            "Failures in a row that make it unhealthy."),
    Setting("health-start-period", f"{_CONTAINER}.Healthcheck.StartPeriod", v.duration, "DURATION",
            "Time at the start in which failures do not count."),
    Setting("log-driver", "TaskTemplate.LogDriver.Name", v.plain, "DRIVER", "Driver of logs."),
    Setting("endpoint-mode", "EndpointSpec.Mode", v.plain, "MODE", "How its name is resolved.",
            ("vip", "dnsrr")),
)  # fmt: skip

SWITCHES: Final = (
    Switch("init", f"{_CONTAINER}.Init", "Run an init process in the container."),
    Switch("tty", f"{_CONTAINER}.TTY", "Give it a terminal.", "-t"),
    Switch("read-only", f"{_CONTAINER}.ReadOnly", "Mount the root file system read-only."),
)

LISTS: Final[tuple[Many, ...]] = (
    Many("env", f"{_CONTAINER}.Env", v.variable, "NAME=VALUE", "A variable.", _of_variable,
         short="-e"),
    Many("label", "Labels", v.pair, "KEY=VALUE", "A label of the service.", is_mapping=True,
         short="-l"),
    Many("container-label", f"{_CONTAINER}.Labels", v.pair, "KEY=VALUE", "A label of containers.",
         is_mapping=True),
    Many("publish", "EndpointSpec.Ports", v.port, "PORT",
         "A port: 8080:80, or mode=host,published=8080,target=80.", _of_port, short="-p"),
    Many("mount", f"{_CONTAINER}.Mounts", v.mount, "MOUNT",
         "A mount: type=volume,source=data,target=/data.", lambda item: str(item["Target"])),
    Many("network", "TaskTemplate.Networks", v.network, "NETWORK", "A network to join.",
         lambda item: str(item["Target"])),
    Many("secret", f"{_CONTAINER}.Secrets", v.file_reference, "SECRET",
         "A secret: its name, or source=NAME,target=FILE,mode=0440.", _of_name),
    Many("config", f"{_CONTAINER}.Configs", v.file_reference, "CONFIG",
         "A config, written like a secret.", _of_name),
    Many("constraint", f"{_PLACEMENT}.Constraints", v.plain, "EXPRESSION",
         "Where it may run: node.labels.zone==a."),
    Many("placement-pref", f"{_PLACEMENT}.Preferences", v.preference, "PREFERENCE",
         "What to spread over: spread=node.labels.zone.",
         lambda item: f"spread={item['Spread']['SpreadDescriptor']}"),
    Many("generic-resource", f"{_RESERVED}.GenericResources", v.generic_resource, "KIND=N",
         "Generic resources that must be free.",
         lambda item: str(item["DiscreteResourceSpec"]["Kind"])),
    Many("cap-add", f"{_CONTAINER}.CapabilityAdd", v.plain, "NAME", "A capability to add."),
    Many("cap-drop", f"{_CONTAINER}.CapabilityDrop", v.plain, "NAME", "A capability to drop."),
    Many("sysctl", f"{_CONTAINER}.Sysctls", v.pair, "KEY=VALUE", "A kernel setting.",
         is_mapping=True),
    Many("ulimit", f"{_CONTAINER}.Ulimits", v.ulimit, "NAME=SOFT[:HARD]", "A limit of processes.",
         lambda item: str(item["Name"])),
    Many("host", f"{_CONTAINER}.Hosts", v.host_line, "NAME:ADDRESS", "A line of /etc/hosts.",
         lambda item: item.split()[-1]),
    Many("dns", f"{_CONTAINER}.DNSConfig.Nameservers", v.plain, "ADDRESS", "A name server."),
    Many("dns-search", f"{_CONTAINER}.DNSConfig.Search", v.plain, "DOMAIN", "A search domain."),
    Many("dns-option", f"{_CONTAINER}.DNSConfig.Options", v.plain, "OPTION", "A resolver option."),
    Many("group", f"{_CONTAINER}.Groups", v.plain, "GROUP", "A further group of the user."),
    Many("log-opt", "TaskTemplate.LogDriver.Options", v.pair, "KEY=VALUE", "A log option.",
         is_mapping=True),
)  # fmt: skip


class Changes(msgspec.Struct, frozen=True):
    """What options ask for: values by the option's name."""

    settings: Mapping[str, str] = {}
    switches: Mapping[str, bool] = {}
    added: Mapping[str, Sequence[str]] = {}
    removed: Mapping[str, Sequence[str]] = {}


class WrongOption(ValueError):
    """An option's value means nothing; the message names both."""


def changed_spec(spec: Json, changes: Changes) -> Json:
    """Return a service's spec with the changes made; the given one is left alone.

    Secrets, configs and networks are by name still; see `stack.cli.service_spec`.

    Raises:
        WrongOption: a value that means nothing, or something to remove that is not there.
    """
    spec = deepcopy(spec)
    for setting in SETTINGS:
        if setting.name in changes.settings:
            value = _read(setting.name, setting.read, changes.settings[setting.name])
            _put(spec, setting.path, value)
    for switch in SWITCHES:
        if switch.name in changes.switches:
            _put(spec, switch.path, changes.switches[switch.name])
    for many in LISTS:
        added = [_read(many.name, many.read, text) for text in changes.added.get(many.name, ())]
        removed = changes.removed.get(many.name, ())
        if added or removed:
            change = _changed_mapping if many.is_mapping else _changed_list
            _put(spec, many.path, change(many, _get(spec, many.path), added, removed))
    return spec


def _changed_mapping(
    many: Many, present: Any, added: Sequence[tuple[str, str]], removed: Sequence[str]
) -> dict[str, str]:
    found = dict(present or {})
    for key in removed:
        if found.pop(key, None) is None:
            raise WrongOption(f"--{many.name}-rm {key}: there is none")
    return found | dict(added)


def _changed_list(
    many: Many, present: Any, added: Sequence[Any], removed: Sequence[str]
) -> list[Any]:
    found = {many.identity(item): item for item in present or ()}
    for key in removed:
        if found.pop(key, None) is None:
            there = f"; there are: {', '.join(found)}" if found else ""
            raise WrongOption(f"--{many.name}-rm {key}: there is none{there}")
    return [*(found | {many.identity(item): item for item in added}).values()]


def _read(name: str, read: v.Reader, text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise WrongOption(f"--{name}: {error}") from None


def _get(spec: Json, path: str) -> Any:
    found: Any = spec
    for part in path.split("."):
        found = (found or {}).get(part)
    return found


def _put(spec: Json, path: str, value: object) -> None:
    *parents, last = path.split(".")
    inside = spec
    for part in parents:
        if inside.get(part) is None:
            inside[part] = {}
        inside = inside[part]
    inside[last] = value
