"""What users of python-on-whales do with a swarm; prints "done" at the end."""

import sys
import time
from pathlib import Path

from python_on_whales import docker
from python_on_whales.exceptions import DockerException, NoSuchService

IMAGE = sys.argv[1]


def wait_for(look):
    for _ in range(600):
        if look():
            return
        time.sleep(0.1)
    raise AssertionError(look)


nodes = docker.node.list()
assert len(nodes) == 3
[leader] = [node for node in nodes if node.spec.role == "manager"]
worker = next(node for node in nodes if node.spec.role == "worker")
worker.update(labels_add={"zone": "a"})
worker.reload()
assert worker.spec.labels == {"zone": "a"}

Path("data").write_text("hello")
secret = docker.secret.create("whale-secret", "data", labels={"a": "b"})
config = docker.config.create("whale-config", "data")
assert docker.secret.inspect("whale-secret").spec.labels == {"a": "b"}
assert [one.id for one in docker.config.list(filters={"name": "whale-config"})] == [config.id]

service = docker.service.create(
    IMAGE,
    ["sh", "-c", "echo from the whale; sleep 1000"],
    detach=True,
    envs={"A": "1"},
)
name = service.spec.name
docker.service.scale({name: 2}, detach=True)
wait_for(lambda: sum(t.status.state == "running" for t in service.ps()) == 2)
assert docker.service.inspect(name).spec.task_template.container_spec.image == IMAGE
wait_for(lambda: docker.service.logs(name).count("from the whale") == 2)
docker.service.scale({service: 3}, detach=True)
wait_for(lambda: sum(t.status.state == "running" for t in docker.service.ps(name)) == 3)
assert docker.node.ps([leader.id]) is not None
service.update(force=True, detach=True, with_registry_authentication=True)
service.remove()
assert not docker.service.exists(name)
try:
    docker.service.inspect(name)
except (NoSuchService, DockerException):
    pass
else:
    raise AssertionError("a removed service is still there")

Path("stack.yml").write_text(
    f'version: "3.8"\nservices: {{web: {{image: "{IMAGE}", deploy: {{endpoint_mode: dnsrr}}}}}}\n'
)
stack = docker.stack.deploy("whales", "stack.yml", resolve_image="never")
assert [one.name for one in docker.stack.list()] == ["whales"]
wait_for(lambda: [t.status.state for t in docker.stack.ps(stack)] == ["running"])
assert [one.spec.name for one in docker.stack.services(stack)] == ["whales_web"]
stack.remove()
secret.remove()
config.remove()
info = docker.system.info()
assert info.swarm.control_available
assert docker.swarm.join_token("worker").startswith("SWMTKN-1-")
print("done")
