"""What holds for every project: made from the key table, or broken on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stack.compose.key import Key, Value
from stack.compose.keys import ROOT
from stack.compose.loader import load
from stack.compose.render import escaped, render
from stack.compose.resolve import resolve
from stack.compose.service_keys import SERVICE
from stack.compose.source import MAX_FILE_BYTES, Source, SourceFile
from stack.errors import StackError

CORPUS = sorted((Path(__file__).parents[3] / "compat" / "compose").rglob("*.yml"))
WORDS = st.sampled_from(["a", "b-1", "x_y", "web", "$$x", "1", "true", "a b", "ü", "/p/q"])
FIXED: dict[str, st.SearchStrategy[Any]] = {
    "image": st.sampled_from(["nginx", "reg.io:5000/a/b:1.2"]),
    "container_name": st.just("the-name"),
    "pull_policy": st.sampled_from(["always", "missing", "if_not_present", "every_12h"]),
    "restart": st.sampled_from(["no", "always", "on-failure:3"]),
    "mode": st.sampled_from(["replicated", "global"]),
    "depends_on": st.just(["other"]),
    "networks": st.sampled_from([["front"], {"front": {"aliases": ["w"], "priority": 3}}]),
    "secrets": st.sampled_from([["s"], [{"source": "s", "target": "t", "mode": 0o440}]]),
    "configs": st.just(["c"]),
    "links": st.just(["other:o"]),
    "env_file": st.just([{"path": "none.env", "required": False}]),
    "ulimits": st.sampled_from([{"nofile": 5}, {"nofile": {"soft": 1, "hard": 2}}]),
    "ports": st.lists(
        st.sampled_from(["80", "8080:80", "127.0.0.1:1-2:3-4/udp", {"target": 9, "mode": "host"}]),
        max_size=3,
    ),
    "volumes": st.lists(
        st.sampled_from(
            [
                "data:/d",
                "./x:/y:ro",
                "/anon",
                {"type": "tmpfs", "target": "/t", "tmpfs": {"size": 9}},
            ]
        ),
        max_size=3,
    ),
    "devices": st.just(["/dev/x:/dev/y:r"]),
    "extra_hosts": st.sampled_from([["a:1.2.3.4"], {"a": "::1", "b": ["1.1.1.1", "2.2.2.2"]}]),
    "target": st.just("/target"),
    "healthcheck": st.sampled_from([{"test": "x", "interval": "90s"}, {"disable": True}]),
    "tmpfs": st.just("/run:size=1m"),
    "build": st.sampled_from(
        [".", {"context": "c", "args": {"A": None, "B": 1}, "ssh": ["default"]}]
    ),
    "deploy": st.sampled_from(
        [{"replicas": 2}, {"resources": {"limits": {"cpus": "0.5", "memory": "5m"}}}, {}]
    ),
    "gpus": st.sampled_from(["all", [{"count": 2}]]),
    "logging": st.just({"driver": "x", "options": {"a": 1}}),
    "cgroup": st.just("host"),
    "use_api_socket": st.booleans(),
    "credential_spec": st.just({"file": "f"}),
    "post_start": st.just([{"command": "a b"}]),
    "pre_stop": st.just([{"command": ["a"], "environment": ["A=1"]}]),
}
LEFT_OUT = {
    "scale", "network_mode", "extends", "models", "provider", "volumes_from", "label_file", "profiles",
    "mem_limit", "mem_reservation", "cpus", "pids_limit", "develop", "ipc", "pid", "uts", "cgroup",
    "container_name", "platform", "storage_opt", "image",
}  # fmt: skip


def value_of(name: str, key: Key) -> st.SearchStrategy[Any]:
    if name in FIXED:
        return FIXED[name]
    if key.choices:
        return st.sampled_from(key.choices)
    match key.value:
        case Value.LIST if key.items is not None:
            return st.lists(value_of("", key.items), max_size=2)
        case Value.BOOLEAN:
            return st.booleans()
        case Value.INTEGER:
            return st.integers(key.lowest or 0, key.highest or 1000)
        case Value.NUMBER:
            return st.integers(0, 90)
        case Value.SIZE:
            return st.sampled_from(["5m", "1gb", "12"])
        case Value.DURATION:
            return st.sampled_from(["10s", "1m30s", "1.5h", "0s"])
        case Value.TEXTS:
            return st.lists(WORDS, unique=True, max_size=3)
        case Value.WORDS:
            return st.sampled_from(["a 'b c'", ["a", "b c"], []])
        case Value.TEXT_MAP:
            pairs = st.dictionaries(WORDS, WORDS | st.integers() | st.booleans(), max_size=3)
            return pairs | pairs.map(lambda one: [f"{name}={value}" for name, value in one.items()])
        case Value.OPTION_MAP:
            return st.dictionaries(WORDS, WORDS, max_size=3)
        case Value.MAP if key.children is not None:
            rows = {name: value_of(name, row) for name, row in key.children.items()}
            needed = {name: rows.pop(name) for name in key.required}
            return st.fixed_dictionaries(needed, optional=rows)
        case _:
            return WORDS


SERVICES = st.fixed_dictionaries(
    {"image": FIXED["image"]},
    optional={name: value_of(name, row) for name, row in SERVICE.items() if name not in LEFT_OUT},
)


def project(service: dict[str, Any]) -> str:
    return json.dumps(
        {
            "services": {"web": service, "other": {"image": "o"}},
            "networks": {"front": {"driver": "overlay", "labels": ["a=b"]}},
            "volumes": {"data": None},
            "secrets": {"s": {"file": "s.txt"}},
            "configs": {"c": {"content": "a $$b"}},
        },
        ensure_ascii=False,
    )


def source(*texts: str | bytes) -> Source:
    files = tuple(
        SourceFile(f"{index}.yml", text if isinstance(text, bytes) else text.encode())
        for index, text in enumerate(texts)
    )
    return Source(files, "/srv/shop", {"E": "1"}, "/home/u", lambda _path: None)


def shown(*texts: str | bytes) -> dict[str, Any]:
    return escaped(render(resolve(source(*texts)).root, extensions=True))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SERVICES)
def test_what_is_shown_loads_to_the_same(service: dict[str, Any]) -> None:
    once = shown(project(service))
    assert shown(json.dumps(once)) == once


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SERVICES, st.sampled_from(["services: {}", "services: {web: {}}", "x-nothing: 1"]))
def test_merging_with_an_empty_file_changes_nothing(service: dict[str, Any], other: str) -> None:
    once = shown(project(service))
    again = shown(project(service), other)
    again.pop("x-nothing", None)
    assert again == once


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SERVICES)
def test_merging_with_itself_changes_only_lists_that_are_appended(service: dict[str, Any]) -> None:
    appended = {"security_opt", "group_add", "external_links", "device_cgroup_rules"}
    appended |= {"post_start", "pre_stop", "gpus", "build", "blkio_config"}
    kept = {name: value for name, value in service.items() if name not in appended}
    assert shown(project(kept), project(kept)) == shown(project(kept))


def must_end_well(*texts: str | bytes) -> None:
    try:
        load(source(*texts))
    except StackError as error:
        message = str(error)
    else:
        message = "loaded"
    assert message


TEXT = st.text(alphabet="abcx-:{}[],&*!|>'\"$ \n\t#%@?~=<1.0é\x00\ufeff", max_size=200)


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_no_text_gives_a_traceback(text: str) -> None:
    must_end_well(text)
    must_end_well(f"services:\n  a:\n    image: x\n    labels: {text}")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_no_bytes_give_a_traceback(content: bytes) -> None:
    must_end_well(content)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(SERVICE)), ANYTHING, max_size=3), ANYTHING)
def test_no_value_of_a_key_gives_a_traceback(service: dict[str, Any], other: Any) -> None:
    text = json.dumps({"services": {"a": {"image": "x", **service}, "b": other}})
    must_end_well(text)
    must_end_well(project({"image": "x"}), text)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(ROOT.children or ())), ANYTHING)
def test_no_value_of_a_section_gives_a_traceback(section: str, value: Any) -> None:
    must_end_well(json.dumps({"services": {"a": {"image": "x"}}, section: value}))
    must_end_well(json.dumps({"services": {"a": {"image": "x"}}, section: {"a": value}}))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CORPUS), st.data())
def test_no_damaged_file_gives_a_traceback(path: Path, data: st.DataObject) -> None:
    content = path.read_bytes()
    start = data.draw(st.integers(0, max(len(content) - 1, 0)))
    end = data.draw(st.integers(start, min(len(content), start + 20)))
    must_end_well(content[:start] + data.draw(st.binary(max_size=4)) + content[end:])


def bomb(first: str, nest: str, letters: str = "bcdefghij") -> str:
    lines = [f"x-a: &a {first}"]
    for earlier, later in zip("a" + letters, letters, strict=False):
        lines.append(f"x-{later}: &{later} " + nest.replace("*", f"*{earlier}"))
    return "\n".join([*lines, "services: {a: {image: x}}"])


@pytest.mark.parametrize(
    "text",
    [
        bomb("[1, 1, 1]", "[*, *, *, *, *, *, *, *, *]"),
        bomb("{a: 1}", "{a: *, b: *, c: *, d: *, e: *, f: *, g: *, h: *}"),
        bomb("{a: 1}", "{<<: [*, *, *, *, *, *, *, *], b: 1}"),
        "services: " + "[" * 100_000,
        "services: " + "{a: " * 2_000,
        "services:\n" + "".join(" " * depth + "a:\n" for depth in range(1, 900)),
        "services: {a: {image: '" + "${A:-" * 5_000 + "}" * 5_000 + "'}}",
        "services: {a: {image: x, ports: [" + ",".join(["'1-65535'"] * 100) + "]}}",
        "services: {a: {image: x, deploy: {replicas: " + "9" * 5_000 + "}}}",
        "services: {a: {image: x, mem_limit: 1e999999999}}",
        "services: {a: {image: x, stop_grace_period: " + "9" * 5_000 + "h}}",
        "services:\n" + "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(2_000)),
        "a: 1\n" * (MAX_FILE_BYTES // 4),
        "x-a: [" + "1," * 300_000 + "]",
    ],
    ids=range(14),
)
def test_texts_that_grow_are_refused(text: str) -> None:
    with pytest.raises(StackError):
        load(source(text))


def test_a_long_chain_of_dependencies_is_walked() -> None:
    text = "".join(f"  s{n}: {{image: x, depends_on: [s{n + 1}]}}\n" for n in range(3_000))
    assert len(resolve(source(f"services:\n{text}  s3000: {{image: x}}\n")).root.entries) > 1
