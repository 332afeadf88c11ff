"""What is stored comes back, and damage is said."""

from pathlib import Path

import pytest

from cluster.errors import FatalStorageError
from cluster.network.stored_state import EngineEndpoint, StoredState, load, save
from tests.unit.cluster.network.views import ingress, view


def test_a_state_comes_back(tmp_path: Path) -> None:
    state = StoredState(
        view=view(ingress_view=ingress()),
        engine_networks={"e": "front000"},
        endpoints={
            "x": EngineEndpoint(
                engine_network="e", network_id="front000", address="10.0.1.9", prefix=24
            )
        },
    )
    folder = tmp_path / "netd"
    assert load(folder) == StoredState(is_partial=True)
    save(folder, state)
    assert load(folder) == state
    assert [path.name for path in folder.iterdir()] == ["network.json"]


def test_a_damaged_file_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text("{")
    with pytest.raises(FatalStorageError, match=r"network\.json: .* move it away"):
        load(tmp_path)
