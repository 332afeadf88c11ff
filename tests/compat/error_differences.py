"""Where our answers to the recorded requests of the error contract differ, and why."""

from __future__ import annotations

_OWN_DECODER = "says which member of the request is wrong, not in the words of Go's decoder"
_OURS_IS_400 = "a wrong request is a 400; Docker Swarm 20.10 says 500"

DIFFERENCES: dict[str, str] = {
    "too old": "the oldest version is 1.24; that of Docker 20.10 is 1.12",
    "bad json": _OWN_DECODER,
    "empty body": _OWN_DECODER,
    "service update no version": _OWN_DECODER,
    "service update bad version": _OWN_DECODER,
    "filter bad json": _OWN_DECODER,
    "svc bad status": _OWN_DECODER,
    "svc insertDefaults bad": _OWN_DECODER,
    "failureaction bad": _OWN_DECODER,
    "rollback bad": _OURS_IS_400,
    "bad authfrom": _OURS_IS_400,
    "authfrom previous": _OURS_IS_400,
    "node filter bad role": _OURS_IS_400,
    "task bad desired": _OURS_IS_400,
    "logs no stream": _OURS_IS_400,
    "logs bad tail": _OURS_IS_400,
    "bad constraint2": _OURS_IS_400,
    "net bad subnet": _OURS_IS_400,
    "net create missing name": _OURS_IS_400,
    "net missing": "a network that does not exist is a 404; Docker Swarm 20.10 says 500",
    "bad mount": "a mount that no engine would make is refused when the service is made",
}
