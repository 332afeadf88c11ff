"""What users of the Docker SDK for Python do with a swarm, call by call, in its own spelling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import docker as sdk
import pytest
from docker import types

from tests.compat.conftest import IMAGE, DockerCli

pytestmark = pytest.mark.integration

SECOND_NS = 1_000_000_000
ADDRESS = "127.0.0.1"


async def with_api(docker: DockerCli, work: Callable[[Any], None], version: str = "auto") -> None:
    """Run `work` with the SDK's low-level client, in a thread, as it blocks."""

    def run() -> None:
        client = sdk.APIClient(f"unix://{docker.socket}", version=version, timeout=30)
        try:
            work(client)
        finally:
            client.close()

    await asyncio.to_thread(run)


def template(**container: Any) -> Any:
    return types.TaskTemplate(types.ContainerSpec(IMAGE, ["sleep", "1000"], **container))


async def test_the_life_of_a_swarm(docker: DockerCli) -> None:
    def work(api: Any) -> None:
        spec = api.create_swarm_spec(snapshot_interval=5000, task_history_retention_limit=3)
        node_id = api.init_swarm(ADDRESS, swarm_spec=spec)
        assert api.inspect_node(node_id)["ManagerStatus"]["Leader"]
        with pytest.raises(sdk.errors.APIError) as caught:
            api.init_swarm(ADDRESS)
        assert caught.value.response.status_code == 503
        swarm = api.inspect_swarm()
        assert swarm["Spec"]["Raft"]["SnapshotInterval"] == 5000
        changed = api.create_swarm_spec(task_history_retention_limit=7, snapshot_interval=12000)
        assert api.update_swarm(
            version=swarm["Version"]["Index"], swarm_spec=changed, rotate_worker_token=True
        )
        after = api.inspect_swarm()
        assert after["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"] == 7
        assert after["JoinTokens"]["Worker"] != swarm["JoinTokens"]["Worker"]
        assert after["JoinTokens"]["Manager"] == swarm["JoinTokens"]["Manager"]
        assert api.get_unlock_key() == {"UnlockKey": ""}
        with pytest.raises(sdk.errors.APIError, match="swarm is not locked"):
            api.unlock_swarm("SWMKEY-1-x")
        with pytest.raises(sdk.errors.APIError, match="participating as a manager"):
            api.leave_swarm()
        assert api.leave_swarm(force=True)
        with pytest.raises(sdk.errors.APIError) as caught:
            api.inspect_swarm()
        assert caught.value.response.status_code == 503

    await with_api(docker, work)


@pytest.mark.parametrize("kind", ["secret", "config"])
async def test_secrets_and_configs(swarm: DockerCli, kind: str) -> None:
    def work(api: Any) -> None:
        create, inspect = getattr(api, f"create_{kind}"), getattr(api, f"inspect_{kind}")
        remove, every = getattr(api, f"remove_{kind}"), getattr(api, f"{kind}s")
        made = create("one", b"top secret", labels={"a": "b"})
        assert inspect(made["ID"])["Spec"]["Labels"] == {"a": "b"}
        create("two", b"\x00\xff")
        assert len(every()) == 2
        assert [one["ID"] for one in every(filters={"name": ["one"]})] == [made["ID"]]
        assert [one["ID"] for one in every(filters={"label": "a=b"})] == [made["ID"]]
        with pytest.raises(sdk.errors.APIError) as caught:
            create("one", b"x")
        assert caught.value.response.status_code == 409
        assert remove(made["ID"])
        with pytest.raises(sdk.errors.NotFound):
            inspect(made["ID"])

    await with_api(swarm, work)


async def test_the_members_of_a_service(swarm: DockerCli) -> None:
    def work(api: Any) -> None:
        secret = types.SecretReference(api.create_secret("s", b"x")["ID"], "s", filename="f")
        config = types.ConfigReference(api.create_config("c", b"x")["ID"], "c", filename="/g")
        container = template(
            env={"A": "1"},
            labels={"l": "1"},
            user="1000",
            workdir="/tmp",
            hostname="{{.Task.Name}}",
            mounts=[types.Mount("/v", "data"), "/tmp:/t:ro"],
            stop_grace_period=2 * SECOND_NS,
            secrets=[secret],
            configs=[config],
            tty=True,
            open_stdin=True,
            read_only=True,
            stop_signal="SIGINT",
            healthcheck=types.Healthcheck(test=["CMD", "true"], interval=SECOND_NS),
            hosts={"db": "10.0.0.5"},
            dns_config=types.DNSConfig(nameservers=["9.9.9.9"], search=["example"]),
            privileges=types.Privileges(selinux_disable=True),
            groups=["5"],
            init=True,
            cap_add=["NET_ADMIN"],
            sysctls={"net.ipv4.ip_unprivileged_port_start": "80"},
        )
        container["Resources"] = types.Resources(
            cpu_limit=SECOND_NS // 2, mem_limit=64 << 20, generic_resources={"gpu": 1}
        )
        container["RestartPolicy"] = types.RestartPolicy("on-failure", delay=SECOND_NS)
        container["Placement"] = types.Placement(
            constraints=["node.role==manager"],
            preferences=[("spread", "node.labels.zone")],
            platforms=[("x86_64", "linux")],
            maxreplicas=2,
        )
        made = api.create_service(
            container,
            name="web",
            labels={"tier": "front"},
            mode=types.ServiceMode("replicated", 2),
            update_config=types.UpdateConfig(parallelism=2, failure_action="rollback"),
            rollback_config=types.RollbackConfig(parallelism=1),
            endpoint_spec={"Ports": [{"TargetPort": 80, "PublishMode": "host"}]},
        )
        spec = api.inspect_service(made["ID"])["Spec"]
        shown = spec["TaskTemplate"]["ContainerSpec"]
        assert shown["Hosts"] == ["10.0.0.5 db"]
        assert shown["Secrets"][0]["File"]["Name"] == "f"
        assert shown["Configs"][0]["ConfigName"] == "c"
        assert [m["Type"] for m in shown["Mounts"]] == ["volume", "bind"]
        assert shown["Privileges"]["SELinuxContext"]["Disable"] is True
        assert spec["TaskTemplate"]["Placement"]["MaxReplicas"] == 2
        assert spec["UpdateConfig"]["FailureAction"] == "rollback"
        assert spec["RollbackConfig"]["Order"] == "stop-first"
        assert api.inspect_service("web", insert_defaults=True)["ID"] == made["ID"]
        assert api.remove_service("web")

    await with_api(swarm, work)


async def test_updates_keep_what_they_do_not_name(swarm: DockerCli) -> None:
    def work(api: Any) -> None:
        api.create_service(template(env=["A=1"]), name="web", labels={"a": "b"})

        def update(**changes: Any) -> Any:
            version = api.inspect_service("web")["Version"]["Index"]
            api.update_service("web", version, name="web", fetch_current_spec=True, **changes)
            return api.inspect_service("web")["Spec"]

        spec = update(mode=types.ServiceMode("replicated", 4))
        assert spec["Mode"] == {"Replicated": {"Replicas": 4}}
        assert spec["Labels"] == {"a": "b"}
        forced = types.TaskTemplate(types.ContainerSpec(IMAGE, env=["A=2"]), force_update=1)
        spec = update(task_template=forced)
        assert spec["TaskTemplate"]["ForceUpdate"] == 1
        assert spec["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=2"]
        assert spec["Mode"] == {"Replicated": {"Replicas": 4}}
        with pytest.raises(sdk.errors.APIError, match="update out of sequence"):
            api.update_service("web", 1, name="web", task_template=forced)

    await with_api(swarm, work)


async def test_jobs_and_counts(swarm: DockerCli) -> None:
    def work(api: Any) -> None:
        mode = types.ServiceMode("replicated-job", concurrency=1, replicas=3)
        api.create_service(template(), name="job", mode=mode)
        (job,) = api.services(filters={"mode": ["replicated-job"]}, status=True)
        assert job["ServiceStatus"] == {"RunningTasks": 0, "DesiredTasks": 1, "CompletedTasks": 0}
        assert job["Spec"]["Mode"]["ReplicatedJob"]["TotalCompletions"] == 3
        assert api.tasks(filters={"service": "job", "desired-state": "running"}) == []
        with pytest.raises(sdk.errors.NotFound):
            api.tasks(filters={"service": "nosuch"})

    await with_api(swarm, work)


@pytest.mark.parametrize("version", ["1.24", "1.29", "1.30", "1.37", "1.40", "1.41"])
async def test_every_version_makes_and_shows_a_service(swarm: DockerCli, version: str) -> None:
    def work(api: Any) -> None:
        api.create_service(template(), name="web", mode="global")
        shown = api.inspect_service("web")
        assert shown["Spec"]["Mode"] == {"Global": {}}
        (listed,) = api.services()
        assert ("ServiceStatus" in listed) is False
        api.update_service(
            "web", shown["Version"]["Index"], template(user="1"), name="web", mode="global"
        )
        assert api.inspect_service("web")["PreviousSpec"]["Name"] == "web"
        assert len(api.nodes()) == 1
        assert api.remove_service("web")

    await with_api(swarm, work, version)
