"""The stock docker command works with the local engine through our socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from tests.compat.conftest import IMAGE, DockerCli

pytestmark = pytest.mark.integration


async def test_version_and_info_tell_of_both(docker: DockerCli) -> None:
    version = json.loads(await docker("version", "--format", "{{json .Server}}"))
    engine = next(c for c in version["Components"] if c["Name"] == "Engine")
    assert version["MinAPIVersion"] == "1.24"
    assert engine["Details"]["ApiVersion"] == version["ApiVersion"]
    info = json.loads(await docker("info", "--format", "{{json .}}"))
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert info["Images"] == 1
    assert "overlay" in info["Plugins"]["Network"]


async def test_the_socket_is_for_owner_and_group(docker: DockerCli) -> None:
    assert stat.S_IMODE(docker.socket.stat().st_mode) == 0o660


async def test_a_piped_input_ends_and_its_output_arrives(docker: DockerCli) -> None:
    out = await docker("run", "--rm", "-i", IMAGE, "cat", stdin=b"one\ntwo\n")
    assert out == "one\ntwo\n"


async def test_a_large_pipe_arrives_whole(docker: DockerCli) -> None:
    data = b"".join(b"line %d of many\n" % number for number in range(300_000))
    out = await docker("run", "--rm", "-i", IMAGE, "cat", stdin=data)
    assert hashlib.md5(out.encode()).hexdigest() == hashlib.md5(data).hexdigest()
    counted = await docker("run", "--rm", "-i", IMAGE, "wc", "-l", stdin=data)
    assert counted.strip() == "300000"


async def test_exec_attach_logs_and_exit_codes(docker: DockerCli) -> None:
    loop = "while read line; do echo got $line; done; exit 3"
    container = (await docker("create", "-i", IMAGE, "sh", "-c", loop)).strip()
    code, out, _ = await docker.run("start", "-ai", container, stdin=b"hello\n")
    assert (code, out) == (3, "got hello\n")
    assert await docker("logs", container) == "got hello\n"
    assert await docker("wait", container) == "3\n"
    await docker("rm", container)


async def test_commands_run_in_a_running_container(docker: DockerCli) -> None:
    container = (await docker("run", "-d", IMAGE, "sleep", "1000")).strip()
    assert await docker("exec", "-i", container, "cat", stdin=b"in\n") == "in\n"
    assert (await docker.run("exec", container, "sh", "-c", "exit 7"))[0] == 7
    attached = asyncio.ensure_future(docker.run("attach", "--no-stdin", container))
    await docker("rm", "-f", container)
    await attached


async def test_logs_are_followed_as_they_come(docker: DockerCli) -> None:
    script = "for i in 1 2 3; do echo $i; sleep 0.3; done"
    container = (await docker("run", "-d", IMAGE, "sh", "-c", script)).strip()
    assert (await docker("logs", "--follow", container)).split() == ["1", "2", "3"]
    await docker("rm", container)


async def test_files_are_copied_both_ways(docker: DockerCli, tmp_path: Path) -> None:
    container = (await docker("create", IMAGE, "true")).strip()
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(3_000_000))
    await docker("cp", str(source), f"{container}:/tmp/file")
    await docker("cp", f"{container}:/tmp/file", str(back))
    assert back.read_bytes() == source.read_bytes()
    await docker("rm", container)


async def test_an_image_is_built_from_a_context(docker: DockerCli, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "data").write_bytes(os.urandom(2_000_000))
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY data /data\nRUN wc -c /data\n")
    code, out, err = await docker.run("build", "-t", "built", str(context))
    assert code == 0, out + err
    assert await docker("run", "--rm", "built", "wc", "-c", "/data") == "2000000 /data\n"
    await docker("rmi", "built")


async def test_saved_images_are_loaded(docker: DockerCli, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    await docker("save", "-o", str(archive), IMAGE)
    assert "Loaded image" in await docker("load", "-i", str(archive))


async def test_events_come_as_they_happen(docker: DockerCli) -> None:
    events = await docker.start("events", "--filter", "event=die", "--filter", "container=eventful")
    try:
        assert events.stdout is not None
        line = asyncio.ensure_future(events.stdout.readline())
        while not line.done():  # the command says nothing when it has begun to listen
            await docker("run", "--rm", "--name", "eventful", IMAGE, "true")
        assert b"name=eventful" in line.result()
    finally:
        events.kill()
        await events.communicate()


async def test_task_containers_are_told_apart(docker: DockerCli) -> None:
    label = "com.docker.swarm.task.id=t1"
    task = (await docker("create", "--label", label, IMAGE, "true")).strip()
    plain = (await docker("create", IMAGE, "true")).strip()
    every = ("ps", "-aq", "--no-trunc")
    assert (await docker(*every, "--filter", "is-task=true")).split() == [task]
    assert (await docker(*every, "--filter", "is-task=false")).split() == [plain]
    assert set((await docker(*every)).split()) == {task, plain}
    await docker("rm", task, plain)


async def test_the_engines_errors_arrive(docker: DockerCli) -> None:
    assert "No such container: nosuch" in await docker("exec", "nosuch", "true", rc=1)
    assert "No such container: nosuch" in await docker("attach", "nosuch", rc=1)
    assert "No such" in await docker("inspect", "nosuch", rc=1)


async def test_local_networks_are_the_engines(docker: DockerCli) -> None:
    await docker("network", "create", "-d", "bridge", "br1")
    assert "br1" in await docker("network", "ls")
    assert json.loads(await docker("network", "inspect", "br1"))[0]["Scope"] == "local"
    await docker("network", "rm", "br1")
