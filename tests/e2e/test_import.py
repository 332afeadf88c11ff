"""A stack that another client deployed becomes compose files, and is the same stack again."""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import Cluster

FILE = """
version: "3.8"
services:
  web:
    image: stackyard/test:1
    environment: {GREETING: "costs 5$$", EDITION: "1"}
    healthcheck: {test: ["CMD", "true"], interval: 1s}
    secrets: [{source: pass, target: p, mode: 0400}]
    configs: [{source: conf, target: /etc/conf}]
    networks: [front]
    volumes: ["data:/data"]
    deploy:
      replicas: 2
      restart_policy: {condition: any, delay: 1s}
      update_config: {parallelism: 0, monitor: 1s}
      placement: {constraints: [node.role == worker]}
      resources: {limits: {memory: 64M}}
secrets: {pass: {file: ./pass.txt}}
configs: {conf: {file: ./conf.txt}}
networks: {front: {attachable: true}}
volumes: {data: }
"""


def test_an_imported_stack_is_the_same_and_runs_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "docker-compose.yml").write_text(FILE)
    (source / "pass.txt").write_text("hush")
    (source / "conf.txt").write_text("level=$3")
    stock = (
        "stack",
        "deploy",
        "-c",
        str(source / "docker-compose.yml"),
        "--resolve-image",
        "never",
    )
    cluster.docker(*stock, "shop")
    cluster.wait_running("shop_web", 2)
    out = tmp_path / "out"
    said = cluster.stack("import", "shop", "-o", str(out))
    assert "secrets to create before it is deployed elsewhere: shop_pass" in said.stdout
    assert (out / "configs" / "shop_conf").read_text() == "level=$3"
    assert "hush" not in (out / "docker-compose.yml").read_text()
    imported = ("-c", str(out / "docker-compose.yml"), "--resolve-image", "never")
    # labels of the config are ours from now on, and nothing restarts
    cluster.stack("deploy", *imported, "--stable", "0")
    with cluster.unchanged("shop_web"):
        cluster.stack("deploy", *imported, "--stable", "0")
    cluster.stack("rm", "shop")
    cluster.docker("secret", "create", "shop_pass", str(source / "pass.txt"))
    cluster.stack("deploy", *imported, "--stable", "0")
    for container in cluster.wait_running("shop_web", 2):
        where = {"host": container.host}
        assert (
            cluster.docker("exec", container.id, "cat", "/run/secrets/p", **where).stdout == "hush"
        )
        assert (
            cluster.docker("exec", container.id, "cat", "/etc/conf", **where).stdout == "level=$3"
        )
        assert "GREETING=costs 5$" in cluster.inspect(container)["Config"]["Env"]
    cluster.stack("import", "shop", "-o", str(out), code=2)
    cluster.stack("rm", "shop")
    cluster.docker("secret", "rm", "shop_pass")
