"""``stack … --format TEMPLATE`` prints what Docker's client prints for the same template."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.compat.conftest import IMAGE, DockerCli

pytestmark = pytest.mark.integration

SERVICES = (
    "{{json .}}",
    "{{.ID}}: {{.Name}}",
    "table {{.ID}}\\t{{.Name}}\\t{{upper .Mode}}",
    'table {{.Name}}\\t{{printf "%s!" .Replicas}}\\tX',
    '{{printf "%-20s|%5d|%q" .Name 3 .Mode}}',
    '{{if eq .Mode "replicated"}}R{{else}}G{{end}} {{with .Ports}}{{.}}{{else}}none{{end}}',
    '{{join (split .Name "a") "-"}} {{title .Name}} {{truncate .Name 3}} {{pad .Name 1 2}}|',
    '{{range $i, $x := split .Name "b"}}{{$i}}={{$x}} {{end}}',
    '{{len .Name}} {{index (split .Name "b") 0}} {{slice .Name 1 3}} {{html "<a>"}}',
    "{{- .Name -}}  x {{/* c */}}{{$x := .Mode}}{{$x}}",
    '{{println .Name}}{{not .Ports}} {{or .Ports .Name}} {{"a\\x41"}}',
)
OBJECTS = (
    ("service inspect web-app every", "{{.Spec.Name}} {{json .Spec.Mode}}"),
    ("service inspect web-app", "{{range $k, $v := .Spec.Labels}}{{$k}}={{$v}}{{end}}"),
    ("service inspect every", "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{else}}none{{end}}"),
    ("node inspect self", "{{.Spec.Role}} {{.ManagerStatus.Leader}} {{.Description.Hostname}}"),
    ("secret inspect one", '{{.ID}} {{index .Spec.Labels "x.y"}}'),
)
WRONG = ("{{.Nope}}", "{{.Name", "{{foo .Name}}", "{{.Name.X}}", '{{split .Name "a" | join "-"}}')
OTHERS = (
    ("node ls", "{{.Hostname}} {{.Self}} {{.ManagerStatus}} {{.TLSStatus}}"),
    ("node ls", "table {{.Hostname}}\\t{{.Availability}}\\t{{.EngineVersion}}"),
    ("secret ls", '{{.ID}} {{.Name}} {{.Labels}} {{.Label "x.y"}}'),
    ("secret ls", 'table {{.Name}}\\t{{.Label "x.a-b"}}\\t{{.Driver}}'),
    ("stack ls", "{{json .}}"),
    ("service ps web-app", "{{.Name}} {{.Image}} {{.DesiredState}} {{.Error}}"),
)


async def _stack(docker: DockerCli, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stack", "--host", f"unix://{docker.socket}", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (err if process.returncode else out).decode()


async def test_both_clients_print_the_same(swarm: DockerCli) -> None:
    create = ("service", "create", "--detach", "--no-resolve-image")
    stack = ("--label", "com.docker.stack.namespace=st")
    await swarm(*create, *stack, "--name", "web-app", "--replicas", "2", IMAGE)
    await swarm(*create, "--name", "every", "--mode", "global", IMAGE)
    await swarm("secret", "create", "--label", "x.y=1", "one", "-", stdin=b"x")
    asked = [("service ls", template) for template in SERVICES]
    for command, template in (*asked, *OTHERS, *OBJECTS):
        words = (*command.split(), "--format", template)
        code, out = await _stack(swarm, *(words[1:] if words[0] == "stack" else words))
        assert code == 0, out
        assert sorted(out.splitlines()) == sorted((await swarm(*words)).splitlines()), words


async def test_both_clients_refuse_the_same(swarm: DockerCli) -> None:
    create = ("service", "create", "--detach", "--no-resolve-image")
    await swarm(*create, "--name", "web-app", IMAGE)
    for template in WRONG:
        await swarm("service", "ls", "--format", template, rc=1)
        code, err = await _stack(swarm, "service", "ls", "--format", template)
        assert code == 2
        assert err.startswith(f"error: --format {template!r}: ")
