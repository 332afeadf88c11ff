"""What would change, and plans in files; nothing secret is in either."""

import json
import random
from pathlib import Path

import pytest

from tests.unit.stack.cli.command_line import Cli

FILE = """
services:
  web:
    image: i:1
    environment: {A: 'one', PASS: canary-in-env}
    secrets: [pass]
    configs: [conf]
    networks: [front]
    extra_hosts: {one: 10.0.0.1, two: 10.0.0.2}
    deploy: {replicas: 2}
  db: {image: i, labels: {a: b}, networks: [front]}
secrets: {pass: {environment: SECRET}}
configs: {conf: {content: canary-in-config}}
networks: {front: }
"""
DEPLOY = ("deploy", "--stable", "0")


@pytest.fixture
def shop(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("SECRET", "canary-in-secret")
    Path("docker-compose.yml").write_text(FILE)
    return cli


def change(old: str, new: str) -> None:
    file = Path("docker-compose.yml")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_everything_is_new_on_an_empty_cluster(shop: Cli) -> None:
    assert shop("diff", code=10).splitlines() == [
        "+ network shop_front: create",
        "+ secret shop_pass: create",
        "+ config shop_conf: create",
        "+ service shop_web: create",
        "+ service shop_db: create",
    ]
    assert shop.engine.requests == []


def test_nothing_is_to_be_told_of_a_stack_that_is_as_the_files_say(shop: Cli) -> None:
    shop(*DEPLOY)
    assert shop("diff") == "stack shop is as the files say\n"
    assert shop("deploy", "--dry-run") == "stack shop is as the files say\n"
    assert json.loads(shop("diff", "--format", "json")) == []
    assert shop.engine.requests == []


def test_fields_and_restarting_tasks_are_told(shop: Cli) -> None:
    shop(*DEPLOY, "--resolve-image", "never")
    change("i:1", "i:2")
    change("replicas: 2", "replicas: 3")
    change("'one'", "'two'")
    out = shop("deploy", "--dry-run", "--resolve-image", "never", code=10)
    because = "TaskTemplate.ContainerSpec.Env.A, TaskTemplate.ContainerSpec.Image"
    assert out.splitlines() == [
        "~ service shop_web: update",
        '    ~ Labels.com.docker.stack.image: "i:1" -> "i:2"',
        "    ~ Mode.Replicated.Replicas: 2 -> 3",
        "    ~ TaskTemplate.ContainerSpec.Env.A: (not shown) -> (not shown)",
        '    ~ TaskTemplate.ContainerSpec.Image: "i:1" -> "i:2"',
        f"    restarts shop_web.1@alpha, shop_web.2@alpha: {because}",
    ]
    assert shop.engine.requests == []


def test_a_change_that_restarts_nothing_says_so(shop: Cli) -> None:
    shop(*DEPLOY)
    change("replicas: 2", "replicas: 1")
    assert "restarts" not in shop("diff", code=10)


def test_a_changed_secret_rolls_only_its_users_and_is_not_shown(shop: Cli, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    shop(*DEPLOY)
    monkeypatch.setenv("SECRET", "canary-in-secret-2")
    change("canary-in-config", "canary-in-config-2")
    changes = json.loads(shop("diff", "--format", "json", code=10))
    assert [(one["action"], one["kind"]) for one in changes] == [
        ("create", "secret"),
        ("create", "config"),
        ("update", "service"),
    ]
    assert changes[2]["name"] == "shop_web"
    assert len(changes[2]["restarts"]) == 2
    assert "canary" not in shop.out


def test_what_pruning_would_remove_is_told_and_counts_only_with_prune(shop: Cli) -> None:
    shop(*DEPLOY)
    change("  db: {image: i, labels: {a: b}, networks: [front]}\n", "")
    assert shop("diff").splitlines()[0] == "- service shop_db: remove (only with --prune)"
    assert shop("diff", "--prune", code=10) == "- service shop_db: remove\n"


def test_a_plan_is_carried_out_while_nothing_has_moved(shop: Cli) -> None:
    shop("diff", "-o", "plan.json", code=10)
    assert "canary" not in Path("plan.json").read_text()
    shop(*DEPLOY, "--plan", "plan.json")
    assert "POST /services/create" in shop.engine.requests
    shop(*DEPLOY, "--plan", "plan.json", code=1)
    assert "has moved since the plan was made: service shop_db is new" in shop.err
    assert shop.engine.requests == []


def test_a_plan_is_refused_when_stack_or_files_have_changed(shop: Cli) -> None:
    shop(*DEPLOY)
    change("i:1", "i:2")
    shop("diff", "-o", "plan.json", code=10)
    change("i:2", "i:3")
    shop(*DEPLOY, "--plan", "plan.json", code=1)
    assert "the compose files, or variables in them, say something else" in shop.err
    change("i:3", "i:2")
    for service in shop.engine.services.values():
        service["Version"] = {"Index": 99}
    shop(*DEPLOY, "--plan", "plan.json", code=1)
    assert "service shop_web was changed" in shop.err
    assert shop.engine.requests == []
    shop(*DEPLOY, "--plan", "plan.json", "other", code=1)
    assert "the plan is for stack shop, not other" in shop.err


def test_a_file_that_is_no_plan_is_refused(shop: Cli) -> None:
    shop("deploy", "--plan", "nowhere.json", code=2)
    Path("plan.json").write_text("{}")
    shop("deploy", "--plan", "plan.json", code=2)
    assert "plan.json: no plan" in shop.err


def test_the_order_of_keys_changes_nothing(shop: Cli) -> None:
    shop(*DEPLOY)
    file = {
        "services": {
            "web": {
                "image": "i:1",
                "environment": {"A": "one", "PASS": "canary-in-env"},
                "secrets": ["pass"],
                "configs": ["conf"],
                "networks": ["front"],
                "extra_hosts": {"one": "10.0.0.1", "two": "10.0.0.2"},
                "deploy": {"replicas": 2},
            },
            "db": {"image": "i", "labels": {"a": "b"}, "networks": ["front"]},
        },
        "secrets": {"pass": {"environment": "SECRET"}},
        "configs": {"conf": {"content": "canary-in-config"}},
        "networks": {"front": None},
    }
    rng = random.Random(7)
    for _ in range(20):
        Path("docker-compose.yml").write_text(json.dumps(shuffled(file, rng)))
        shop(*DEPLOY)
        assert shop.engine.requests == []


def shuffled(value: object, rng: random.Random) -> object:
    """The same with the keys of all maps in another order."""
    if not isinstance(value, dict):
        return value
    items = list(value.items())
    rng.shuffle(items)
    return {key: shuffled(member, rng) for key, member in items}
