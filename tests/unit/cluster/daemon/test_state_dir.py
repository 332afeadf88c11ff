from pathlib import Path

import pytest

from cluster.daemon.state_dir import Membership, StateDir
from cluster.errors import FatalStorageError
from cluster.model.ids import ClusterId, NodeId

MEMBERSHIP = Membership(
    node_id=NodeId("n1"),
    cluster_id=ClusterId("c1"),
    role="worker",
    listen_addr="0.0.0.0:2377",
    advertise_addr="10.0.0.2",
    managers=("10.0.0.1:2377",),
)


def test_a_membership_comes_back_as_it_was(tmp_path: Path) -> None:
    state_dir = StateDir(tmp_path)
    assert state_dir.load() is None
    state_dir.save(MEMBERSHIP)
    assert StateDir(tmp_path).load() == MEMBERSHIP


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    state_dir = StateDir(tmp_path / "new")
    with state_dir.lock():
        state_dir.save(MEMBERSHIP)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "membership.json").stat().st_mode & 0o777 == 0o600


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    with (
        StateDir(tmp_path).lock(),
        pytest.raises(FatalStorageError, match="in use by another stackd"),
        StateDir(tmp_path).lock(),
    ):
        pass


def test_a_damaged_membership_is_told_with_file_and_way_out(tmp_path: Path) -> None:
    (tmp_path / "membership.json").write_text('{"node_id": ')
    with pytest.raises(FatalStorageError, match=r"membership\.json: damaged .* join again"):
        StateDir(tmp_path).load()


def test_leaving_forgets_everything(tmp_path: Path) -> None:
    state_dir = StateDir(tmp_path)
    state_dir.save(MEMBERSHIP)
    for folder in (state_dir.certificates, state_dir.raft, state_dir.tasks):
        folder.mkdir()
        (folder / "file").touch()
    state_dir.forget()
    assert list(tmp_path.iterdir()) == []
    state_dir.forget()  # twice is no error
