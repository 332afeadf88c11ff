"""``stack service logs``."""

from pathlib import Path

from tests.unit.stack.cli.command_line import DEPLOY, Cli


def _frame(stream: int, line: str) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(line).to_bytes(4, "big") + line.encode()


def test_logs_name_task_and_node_and_keep_the_streams_apart(cli: Cli) -> None:
    cli(*DEPLOY)
    task = next(t for t in cli.engine.tasks if t["Slot"] == 2)
    words = f"com.docker.swarm.node.id=node1,com.docker.swarm.task.id={task['ID']}"
    cli.engine.log = _frame(1, f"{words} out\n") + _frame(2, f"{words} err\n")
    assert cli("service", "logs", "shop_web") == "shop_web.2@alpha | out\n"
    assert cli.err == "shop_web.2@alpha | err\n"
    assert cli("service", "logs", "--raw", "-n", "5", task["ID"]) == "out\n"
    assert cli.engine.log_queries[-1]["of"] == f"tasks/{task['ID']}"
    assert cli.engine.log_queries[-1]["tail"] == "5"
    cli.engine.log = _frame(1, f"2026-01-01T00:00:00.000000000Z {words} out\n")
    assert cli("service", "logs", "--raw", "-t", "--since", "10m", "shop_web").endswith("Z out\n")
    assert float(cli.engine.log_queries[-1]["since"]) > 0
    cli("service", "logs", "nosuch", code=1)
    assert cli.err == "error: no service and no task nosuch\n"
    cli("service", "logs", "--since", "soon", "shop_web", code=2)


def test_a_terminals_log_has_no_frames(cli: Cli) -> None:
    Path("docker-compose.yml").write_text("services: {web: {image: i, tty: true}}")
    cli(*DEPLOY)
    cli.engine.log = b"com.docker.swarm.task.id=gone,com.docker.swarm.node.id=n hello\r\n"
    assert cli("service", "logs", "shop_web") == "gone@n | hello\r\n"
