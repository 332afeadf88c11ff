"""The lab's hosts are real enough to be machines, and leave nothing behind."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab import Lab
from tests.support.lab_host import CGROUPS, NETNS, LabError, members, run, running

GET = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab("lab-test", subnet="10.78.0.0/24") as lab:
        lab.up(2)
        yield lab


def start_container(lab: Lab, host: int, image: str, **host_config: object) -> str:
    """Run a container on a host's engine; its ID."""
    made = lab.engine(
        host, "POST", "/containers/create", {"Image": image, "HostConfig": host_config}
    )
    lab.engine(host, "POST", f"/containers/{made['Id']}/start")
    return str(made["Id"])


def state_of(lab: Lab, host: int, container: str) -> str:
    return str(lab.engine(host, "GET", f"/containers/{container}/json")["State"]["Status"])


def reaches(lab: Lab, source: int, address: str, port: int, tries: int = 50) -> bool:
    """Whether a TCP connection from a host gets through; servers take a moment to listen."""
    script = (
        "import socket, sys, time\n"
        "for _ in range(int(sys.argv[3])):\n"
        "    try: sys.exit(socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close())\n"
        "    except OSError: time.sleep(0.1)\n"
        "sys.exit(1)"
    )
    command = ["python3", "-c", script, address, str(port), str(tries)]
    return lab.enter(source, *command, check=False).returncode == 0


@pytest.mark.integration
def test_each_host_is_a_machine_with_its_own_name_and_engine(lab: Lab) -> None:
    names = [lab.engine(i, "GET", "/info")["Name"] for i in (1, 2)]
    engines = {lab.engine(i, "GET", "/info")["ID"] for i in (1, 2)}
    assert names == ["h1", "h2"]
    assert len(engines) == 2
    assert lab.enter(2, "hostname").stdout.strip() == "h2"
    assert lab.enter(2, "sh", "-c", "cat /proc/1/comm").stdout.strip() == "sleep"


@pytest.mark.integration
def test_hosts_reach_published_ports_of_each_other_and_this_machine_does_not(lab: Lab) -> None:
    ports = {"8080/tcp": [{"HostPort": "8080"}]}
    container = start_container(lab, 1, "stackyard/hello:1", PortBindings=ports)
    url = f"http://{lab.host(1).address}:8080/"
    assert reaches(lab, 2, lab.host(1).address, 8080)
    assert container[:12] in lab.enter(2, "python3", "-c", GET, url).stdout
    addresses = run("ip", "-brief", "address").stdout
    assert lab.host(1).address not in addresses
    assert lab.label not in addresses
    lab.engine(1, "DELETE", f"/containers/{container}?force=1")


@pytest.mark.integration
def test_a_killed_engine_starts_again_and_knows_its_containers(lab: Lab) -> None:
    container = start_container(lab, 1, "stackyard/test:1")
    before = running(lab.host(1), "engine")
    lab.kill_engine(1, signal.SIGKILL)
    assert running(lab.host(1), "engine") is None
    with pytest.raises(OSError):
        lab.engine(1, "GET", "/_ping")
    lab.start_engine(1)
    assert running(lab.host(1), "engine") not in {None, before}
    assert state_of(lab, 1, container) == "exited"
    lab.engine(1, "DELETE", f"/containers/{container}?force=1")


@pytest.mark.integration
def test_power_off_ends_every_process_and_power_on_keeps_the_disk(lab: Lab) -> None:
    container = start_container(lab, 2, "stackyard/test:1")
    engine = lab.engine(2, "GET", "/info")["ID"]
    assert len(members(lab.host(2))) > 3
    lab.poweroff(2)
    assert members(lab.host(2)) == []
    assert [row["POWER"] for row in lab.status()] == ["up", "-"]
    with pytest.raises(LabError, match="h2 is not powered on"):
        lab.enter(2, "true")
    lab.poweron(2)
    assert lab.engine(2, "GET", "/info")["ID"] == engine
    assert state_of(lab, 2, container) == "exited"
    lab.engine(2, "DELETE", f"/containers/{container}?force=1")


@pytest.mark.integration
def test_a_host_keeps_its_network_card_while_the_power_is_off(lab: Lab) -> None:
    # A card with another address is not reached by peers that remember the old one.
    card = ("cat", "/sys/class/net/eth0/address")
    cards = [lab.enter(i, *card).stdout for i in (1, 2)]
    assert cards[0] != cards[1]
    lab.poweroff(2)
    lab.poweron(2)
    assert lab.enter(2, *card).stdout == cards[1]


@pytest.mark.integration
def test_a_cut_cable_separates_a_host_until_it_is_plugged_in_again(lab: Lab) -> None:
    ports = {"8080/tcp": [{"HostPort": "8081"}]}
    container = start_container(lab, 1, "stackyard/hello:1", PortBindings=ports)
    address = lab.host(1).address
    assert reaches(lab, 2, address, 8081)
    lab.link(2, "down")
    assert not reaches(lab, 2, address, 8081, tries=1)
    lab.link(2, "up")
    assert reaches(lab, 2, address, 8081)
    lab.engine(1, "DELETE", f"/containers/{container}?force=1")


@pytest.mark.integration
def test_a_host_may_change_etc_without_this_machine_seeing_it(lab: Lab) -> None:
    lab.enter(1, "sh", "-c", "echo 203.0.113.7 elsewhere >>/etc/hosts")
    assert "elsewhere" in lab.enter(1, "cat", "/etc/hosts").stdout
    assert "elsewhere" not in lab.enter(2, "cat", "/etc/hosts").stdout
    assert "elsewhere" not in Path("/etc/hosts").read_text()


@pytest.mark.integration
def test_cpu_time_of_a_host_is_counted(lab: Lab) -> None:
    before = lab.cpu_seconds(1)
    lab.enter(1, "python3", "-c", "sum(range(10**7))")
    assert lab.cpu_seconds(1) > before


@pytest.mark.integration
def test_down_removes_what_a_crash_left() -> None:
    lab = Lab("crash-test", subnet="10.79.0.0/24")
    lab.up(1)
    host = lab.host(1)
    start_container(lab, 1, "stackyard/test:1")
    engine = running(host, "engine")
    assert engine
    os.kill(engine, signal.SIGKILL)
    for record in host.folder.glob("*.pid"):
        record.unlink()
    lab.down()
    assert members(host) == []
    assert not host.folder.exists()
    assert not list(NETNS.glob(f"{lab.label}*"))
    assert not list(CGROUPS.glob(f"*/{lab.label}*"))
    assert str(lab.state) not in Path("/proc/self/mountinfo").read_text()
    lab.down()


@pytest.mark.integration
def test_the_command_says_one_line_and_fails_where_a_host_is_not(lab: Lab) -> None:
    program = Path(__file__).resolve().parents[2] / "scripts/lab"
    done = subprocess.run(
        [program, "--name", lab.name, "exec", "h9", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "lab: h9 is not powered on"


def test_a_socket_path_that_is_too_long_is_refused_with_the_limit(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    with pytest.raises(LabError, match="107 bytes"):
        Lab(state=deep)


@pytest.mark.parametrize("name", ["h1", "images", "Upper", "a/b"])
def test_a_lab_name_that_would_clash_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="lab name"):
        Lab(name, state=tmp_path)


def test_hosts_are_named_by_number_or_name(tmp_path: Path) -> None:
    lab = Lab(state=tmp_path / "lab")
    assert lab.host(3) == lab.host("h3") == lab.host("3")
    assert lab.host(3).address == "10.77.0.3"
    with pytest.raises(LabError, match="h0: no host"):
        lab.host("h0")
