"""Where `stack config` differs from `docker compose config` 2.40.3, and why."""

from __future__ import annotations

_OPERATORS = (
    "operators such as && and > are parts of a command's words, as in docker stack; docker-compose "
    "drops them and what follows"
)

DIFFERENCES: dict[str, str] = {
    "blkio": "keys of blkio_config are printed as a file may have them, so that they load again; "
    "docker-compose prints Path and Rate",
    "build": "docker-compose cannot print build.ssh as JSON",
    "commands": _OPERATORS,
    "command-amp-in-word": _OPERATORS,
    "command-lt": _OPERATORS,
    "command-paren": "parentheses are text, as in docker stack; docker-compose refuses them",
    "inc-unknown-key": "an unknown key of an include is refused; docker-compose overlooks it",
    "interp-default-lazy": "a default that is not needed is not looked at, as newer releases do",
    "interp-key": "a dollar sign in a key is printed as it is, since keys are not interpolated when "
    "the output is read again; docker-compose doubles it",
    "merge-basic": "the same host and address in two files is one entry of extra_hosts; "
    "docker-compose repeats it when it is spelled differently",
    "merge-docs-empty": "an empty document between others is skipped",
    "nets": "ipam.options are kept; docker-compose drops them",
    "secret-driver": "a secret may come from a driver, as in docker stack",
    "x-env": "variables and labels may begin with x-; docker-compose mangles them",
    "x-ulimits": "docker-compose mangles a limit whose name begins with x-",
}
