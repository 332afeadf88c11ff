"""Every rule finds its own case, at the right line, and is silent about the ordinary one."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from stack.check.check import check
from stack.check.finding import Finding, Severity
from stack.check.rules import RULES, of_loader, placed
from stack.check.source_tree import merged_tree
from stack.compose.source import Source, SourceFile

BASE = "services:\n  web:\n    image: nginx:1.27\n"


def look(*texts: str, nodes: int | None = None) -> list[Finding]:
    files = tuple(
        SourceFile(f"{chr(ord('a') + number)}.yml", dedent(text).encode())
        for number, text in enumerate(texts)
    )
    return check(Source(files, "/srv/shop", {}, "/home/u"), nodes=nodes)


def web(*lines: str, top: str = "") -> str:
    return BASE + "".join(f"    {line}\n" for line in lines) + dedent(top)


MANY = "deploy: {replicas: 3}"
FIXED = "networks: {default: {ipv4_address: 10.0.0.9}}"
PINNED = "deploy: {placement: {constraints: [node.labels.data == true]}}"
ON_HOST = "ports: [{target: 80, published: 8080, mode: host}]"

FOUND = [  # rule, file, line
    ("bind-relative", web("volumes: [./conf:/etc/conf]"), 4),
    ("bind-relative", web("volumes: [~/conf:/etc/conf]"), 4),
    ("bind-relative", web("volumes:", "- {type: bind, source: ., target: /app}"), 5),
    ("bind-absolute", web("volumes: [/srv/data:/data]"), 4),
    ("engine-socket", web("volumes: [/var/run/docker.sock:/var/run/docker.sock]"), 4),
    ("volume-replicas", web("volumes: [data:/data]", MANY, top="volumes: {data: }"), 4),
    ("volume-replicas", web("volumes: [data:/d]", "deploy: {mode: global}", top="volumes: {data: }"), 4),
    ("volume-moves", web("volumes: [data:/data]", top="volumes: {data: }"), 4),
    ("volume-external", web("volumes: [data:/data]", top="volumes: {data: {external: true}}"), 5),
    (
        "volume-device",
        web("volumes: [data:/data]", top="volumes: {data: {driver_opts: {o: bind, type: none, device: ./data}}}"),
        5,
    ),
    ("volume-anonymous", web("volumes: [/var/lib/x]"), 4),
    ("port-taken", web("ports: ['8080:80']") + "  api:\n    image: api:1\n    " + ON_HOST + "\n", 7),
    ("port-taken", web("ports: ['80-82:80']") + "  api:\n    ports: ['81:80']\n", 6),
    ("port-range", web("ports: ['8000-8002:80']"), 4),
    ("port-replicas", web(ON_HOST, MANY), 4),
    ("port-clash", web(ON_HOST) + "  api:\n    image: api:1\n    " + ON_HOST + "\n", 7),
    ("port-update", web(ON_HOST, "deploy: {update_config: {order: start-first}}"), 5),
    ("port-loopback", web("ports: ['127.0.0.1:8080:80']"), 4),
    ("port-address", web("ports: ['10.0.0.4:8080:80']"), 4),
    ("namespace-shared", web("network_mode: service:vpn"), 4),
    ("namespace-shared", web("pid: container:abc"), 4),
    ("network-bridge", web("network_mode: bridge"), 4),
    ("network-driver", web("networks: [n]", top="networks:\n  n:\n    driver: bridge\n"), 7),
    ("network-external", web("networks: [n]", top="networks: {n: {external: true}}"), 5),
    ("static-address", web("networks: {default: {ipv6_address: 'fd00::9'}}"), 4),
    ("static-address", web(FIXED, MANY), 4),
    ("static-address", web(FIXED, "deploy: {update_config: {order: start-first}}"), 4),
    ("links", web("links: [db]"), 4),
    ("other-containers", web("external_links: [db]"), 4),
    ("other-containers", web("volumes_from: [db]"), 4),
    ("container-name", web("container_name: web"), 4),
    ("build-only", "services:\n  web:\n    build: .\n", 3),
    ("build", web("build: ."), 4),
    ("image-latest", "services:\n  web:\n    image: nginx\n", 3),
    ("image-latest", "services:\n  web:\n    image: registry:5000/nginx:latest\n", 3),
    ("pull-policy", web("pull_policy: never"), 4),
    ("pull-policy", web("pull_policy: daily"), 4),
    (
        "depends-on-condition",
        web("depends_on:", "  db: {condition: service_healthy}") + "  db: {image: postgres:17}\n",
        5,
    ),
    ("start-order", web("depends_on: [db]") + "  db: {image: postgres:17}\n", 4),
    ("healthcheck", web(ON_HOST), 2),
    ("restart", web("restart: unless-stopped"), 4),
    ("restart", web("restart: 'no'"), 4),
    ("restart", web("restart: always", "deploy: {restart_policy: {condition: any}}"), 4),
    ("hostname", web("hostname: web", MANY), 4),
    ("mac-address", web("mac_address: '02:42:ac:11:00:02'", MANY), 4),
    ("node-access", web("privileged: true"), 4),
    ("node-access", web("devices: [/dev/fuse]"), 4),
    ("node-access", web("network_mode: host"), 4),
    ("host-gateway", web("extra_hosts: ['host.docker.internal:host-gateway']"), 4),
    ("not-loaded", web("imagee: x"), 4),
    ("not-applied", web("post_start: [{command: x}]"), 4),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text", "line"), FOUND)
def test_a_rule_finds_its_case_at_its_line(rule: str, text: str, line: int) -> None:
    lines = [found.mark.line for found in look(text) if found.rule == rule]
    assert lines == [line], look(text)


QUIET = [
    ("bind-relative", web("volumes: [data:/data]", top="volumes: {data: }")),
    ("bind-absolute", web("volumes: [/etc/localtime:/etc/localtime:ro, /dev/log:/dev/log]")),
    ("engine-socket", web("volumes: [/var/run/docker.sock:/s]", PINNED)),
    ("volume-moves", web("volumes: [data:/data]", PINNED, top="volumes: {data: }")),
    (
        "volume-moves",
        web("volumes: [d:/d]", top="volumes: {d: {driver_opts: {type: nfs, device: ':/x'}}}"),
    ),
    ("volume-replicas", web("volumes: [d:/d]", MANY, top="volumes: {d: {driver: rexray}}")),
    (
        "port-taken",
        web("ports: ['8080:80', '8081:80']") + "  api: {image: api:1, ports: ['8080:80/udp']}\n",
    ),
    ("port-taken", web(ON_HOST) + "  api:\n    image: api:1\n    " + ON_HOST + "\n"),
    ("port-replicas", web(ON_HOST, "deploy: {mode: global}")),
    ("port-loopback", web("ports: ['8080:80']")),
    ("static-address", web(FIXED)),
    ("port-range", web("ports: ['8000-8002:80-82']")),
    ("network-driver", web("networks: [n]", top="networks: {n: {driver: overlay}}")),
    ("network-external", web("networks: [n]", top="networks: {n: {external: true, name: host}}")),
    ("image-latest", web()),
    ("image-latest", "services: {web: {image: 'nginx@sha256:" + "a" * 64 + "'}}"),
    ("healthcheck", web(ON_HOST, "healthcheck: {test: [CMD, 'true']}")),
    ("hostname", web("hostname: 'web-{{.Task.Slot}}'", MANY)),
    ("restart", web("restart: always")),
    ("build-only", web("build: .")),
]


@pytest.mark.parametrize(("rule", "text"), QUIET)
def test_a_rule_is_silent_about_the_ordinary_case(rule: str, text: str) -> None:
    assert [found for found in look(text) if found.rule == rule] == []


def test_every_rule_is_tested_here() -> None:
    assert {rule.id for rule in RULES} == {rule for rule, _, _ in FOUND} | {"replicas"}
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_places_are_counted_when_the_number_of_nodes_is_known() -> None:
    text = web(ON_HOST, MANY)
    assert [f.rule for f in look(text, nodes=2) if f.severity is Severity.ERROR] == ["replicas"]
    assert not [
        found for found in look(text, nodes=3) if found.rule in {"replicas", "port-replicas"}
    ]
    limited = web("deploy: {replicas: 5, placement: {max_replicas_per_node: 2}}")
    assert [found.rule for found in look(limited, nodes=2)] == ["replicas"]
    assert look(limited, nodes=3) == []


def test_paths_of_included_and_extended_files_are_judged_too(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text("services: {b: {image: 'x:1', volumes: ['./d:/d']}}")
    (tmp_path / "inc.yml").write_text("services: {inc: {image: 'x:1', volumes: ['./e:/e']}}")
    text = """
        include: [inc.yml]
        services:
          web:
            extends: {file: base.yml, service: b}
            volumes: ['../up:/up']
    """
    file = SourceFile(f"{tmp_path}/compose.yml", dedent(text).encode())
    found = check(Source((file,), str(tmp_path), {}, "/home/u"))
    places = {
        (one.mark.file.rsplit("/", 1)[-1], one.path) for one in found if one.rule == "bind-relative"
    }
    assert places == {
        ("base.yml", "services.web.volumes[0]"),
        ("compose.yml", "services.web.volumes[1]"),
        ("inc.yml", "services.inc.volumes[0]"),
    }


def test_several_files_are_judged_as_one_project() -> None:
    over = "services: {web: {volumes: !reset null, deploy: {replicas: 2}}}"
    assert [f.rule for f in look(web("volumes: [./a:/a]"), over)] == []
    placed = look(web(), "services:\n  web:\n    hostname: w\n    " + MANY + "\n")
    assert [(found.mark.file, found.mark.line) for found in placed] == [("b.yml", 3)]


def test_findings_come_in_the_order_of_the_file_each_once() -> None:
    found = look(web("container_name: x", "volumes: [./a:/a, ./b:/b]", "ports: ['127.0.0.1:1:1']"))
    assert [one.mark.line for one in found] == sorted(one.mark.line for one in found)
    assert len(set(found)) == len(found)
    assert [one.path for one in found if one.rule == "bind-relative"] == [
        "services.web.volumes[0]",
        "services.web.volumes[1]",
    ]


def test_a_path_without_a_line_is_found_in_the_tree() -> None:
    tree = merged_tree(
        Source((SourceFile("a.yml", web("cap_add: [A, B]").encode()),), "/x", {}), "s"
    )
    assert tree is not None
    lines = [
        placed(of_loader(RULES[-1], text, ()), tree).mark.line
        for text in (
            "services.web.cap_add: x",
            "services.web.cap_add[1]: x",
            "services.web.volumes[0]: x",
            "services.web: x",
            "nothing",
        )
    ]
    assert lines == [4, 4, 2, 2, 0]


def test_what_the_loader_says_of_a_key_gives_way_to_a_rule() -> None:
    found = look(web("container_name: xy"))
    assert [one.rule for one in found] == ["container-name"]
    waits = web("depends_on:", "  db: {condition: service_healthy}") + "  db: {image: 'db:1'}\n"
    assert {one.rule for one in look(waits)} == {"depends-on-condition"}


@pytest.mark.parametrize(
    "text", ["", "a: [", "- 1", "services: 3", "services: {web: 3}", "services: {web: {ports: 3}}"]
)
def test_a_file_that_is_none_is_one_error(text: str) -> None:
    (found,) = [one for one in look(text) if one.severity is Severity.ERROR]
    assert (found.rule, found.mark.file) == ("not-loaded", "a.yml")
    assert found.message
