"""The examples beside hello and guestbook, deployed; and settings that only the label can carry."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from tests.support.cluster import HOSTS, Cluster, wait_for

STAGES = "compose_examples/stages"
SETTINGS = "compose_examples/settings"
PARTS = "compose_examples/parts/docker-compose.yml"


def inspected(cluster: Cluster, service: str) -> Any:
    (container,) = cluster.wait_running(service, 1)
    return cluster.lab.engine(container.host, "GET", f"/containers/{container.id}/json")


def test_two_stages_of_one_application(cluster: Cluster) -> None:
    production = (
        "-c", f"{STAGES}/docker-compose.yml", "-c", f"{STAGES}/docker-compose.production.yml",
    )  # fmt: skip
    variables = {"COMPOSE_ENV_FILES": f"{STAGES}/production.env"}
    cluster.stack("deploy", *production, "stages", env=variables)
    containers = cluster.wait_running("stages_web", 3)
    assert {container.host for container in containers} == set(HOSTS)
    answer = wait_for("an answer", partial(cluster.http, 2, 80, "/env"))
    environment = json.loads(answer)["env"]
    assert environment["STAGE"] == "production"
    assert environment["TITLE"] == "The stages example"
    assert environment["WORKERS"] == "4"


def test_a_project_of_several_files(cluster: Cluster) -> None:
    cluster.stack("deploy", "-c", PARTS, "parts")
    assert {row["Name"] for row in cluster.rows("services", "parts")} == {
        "parts_front",
        "parts_greeter",
    }
    (greeter,) = cluster.wait_running("parts_greeter", 1)
    answer = wait_for("an answer", partial(cluster.http, greeter.host, 8085))
    assert answer.startswith("Greetings from the included project from container ")
    front = inspected(cluster, "parts_front")
    assert front["HostConfig"]["ReadonlyRootfs"] is True
    assert front["HostConfig"]["CapDrop"] == ["ALL"]
    assert front["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert front["HostConfig"]["PidsLimit"] == 50
    assert front["HostConfig"]["Tmpfs"] == {"/tmp": "size=8388608,noexec"}
    again = cluster.stack("deploy", "-c", PARTS, "parts")
    assert "reating" not in again.stdout
    assert "pdating" not in again.stdout


def test_settings_as_files_and_a_job_before_them(cluster: Cluster) -> None:
    file = ("-c", f"{SETTINGS}/docker-compose.yml")
    said = cluster.stack("deploy", *file, "settings", code=2)
    assert "API_KEY" in said.stderr
    variables = ("--env-file", f"{SETTINGS}/example.env")
    said = cluster.stack("deploy", *file, *variables, "settings")
    assert "settings_prepare: 2/2 completed" in said.stdout
    (web,) = cluster.wait_running("settings_web", 1)
    files = "/etc/app/settings.json /motd /run/secrets/key /run/secrets/certificate"
    script = f"cat {files}; stat -c '%a %u' /run/secrets/key"
    shown = cluster.docker("exec", web.id, "sh", "-c", script, host=web.host).stdout
    assert shown.splitlines() == [
        '{"title": "An example", "price": "5 $"}',
        "Welcome to the settings example.",
        "only-for-the-labnot a real certificate",
        "400 1000",
    ]
    (prepare, _) = sorted(cluster.rows("services", "settings"), key=lambda row: str(row["Name"]))
    assert (prepare["Mode"], prepare["Replicas"]) == ("replicated job", "0/2 (2/2 completed)")
    tasks = {task.id for task in cluster.tasks("settings_prepare")}
    with cluster.unchanged("settings_web", "settings_prepare"):
        cluster.stack("deploy", *file, *variables, "settings")
    assert {task.id for task in cluster.tasks("settings_prepare")} == tasks


def test_settings_beyond_the_engine_api_reach_the_containers(cluster: Cluster) -> None:
    web = {
        "image": "stackyard/hello:1",
        "ports": [{"target": 8080, "published": 8090, "mode": "host", "host_ip": "127.0.0.1"}],
        "devices": ["/dev/null:/dev/mynull:r"],
        "group_add": ["1234"],
        "shm_size": "1m",
        "pid": "host",
        "cpu_shares": 256,
        "domainname": "example.org",
    }
    cluster.stack("deploy", "-c", cluster.compose_file({"services": {"web": web}}), "ext")
    shown = inspected(cluster, "ext_web")
    host = shown["HostConfig"]
    assert host["PortBindings"]["8080/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "8090"}]
    assert host["Devices"][0]["PathInContainer"] == "/dev/mynull"
    assert host["GroupAdd"] == ["1234"]
    assert host["PidMode"] == "host"
    assert host["CpuShares"] == 256
    assert shown["Config"]["Domainname"] == "example.org"
    assert [mount["Destination"] for mount in shown["Mounts"]] == ["/dev/shm"]
    before = shown["Id"]
    cluster.docker("service", "update", "--label-add", "a=b", "--detach", "ext_web")
    assert inspected(cluster, "ext_web")["Id"] == before
