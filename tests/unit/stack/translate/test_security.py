from __future__ import annotations

import base64
from typing import Any

import pytest

from stack.errors import ComposeError
from stack.translate.security import privileges

NOTHING = {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False}
NO_CONTEXT = {"Disable": False, "User": "", "Role": "", "Type": "", "Level": ""}


@pytest.mark.parametrize(
    ("options", "changed", "rest"),
    [
        ((), {}, ()),
        (("no-new-privileges",), {"NoNewPrivileges": True}, ()),
        (("no-new-privileges:true",), {"NoNewPrivileges": True}, ()),
        (("no-new-privileges=false",), {}, ()),
        (("seccomp=unconfined",), {"Seccomp": {"Mode": "unconfined"}}, ()),
        (("seccomp:unconfined",), {"Seccomp": {"Mode": "unconfined"}}, ()),
        (("seccomp=builtin",), {}, ()),
        (
            ('seccomp={"a": 1}',),
            {"Seccomp": {"Mode": "custom", "Profile": base64.b64encode(b'{"a": 1}').decode()}},
            (),
        ),
        (("apparmor=unconfined",), {"AppArmor": {"Mode": "disabled"}}, ()),
        (("apparmor=own",), {}, ("apparmor=own",)),
        (("label=disable",), {"SELinuxContext": {**NO_CONTEXT, "Disable": True}}, ()),
        (
            ("label:user:USER", "label=level:s0:c1"),
            {"SELinuxContext": {**NO_CONTEXT, "User": "USER", "Level": "s0:c1"}},
            (),
        ),
        (("label=filetype:x",), {}, ("label=filetype:x",)),
        (("systempaths=unconfined",), {}, ("systempaths=unconfined",)),
    ],
)
def test_options_become_members_where_there_are_some(
    options: tuple[str, ...], changed: dict[str, Any], rest: tuple[str, ...]
) -> None:
    assert privileges("web", options) == ({**NOTHING, **changed}, rest)


def test_a_profile_in_a_file_is_refused() -> None:
    with pytest.raises(
        ComposeError, match=r"services\.web\.security_opt: seccomp=\./p\.json names"
    ):
        privileges("web", ("seccomp=./p.json",))
