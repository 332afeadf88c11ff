"""A stack deployed in one step, its revisions, and the way back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster.api.commands.attached_files import remove_secret
from cluster.api.commands.leases import break_lease, release_lease
from cluster.api.commands.services import create_service, remove_service, update_service
from cluster.api.commands.stack_revisions import has_drifted
from cluster.api.commands.stacks import find_revision
from cluster.api.payloads.stacks import WantedService
from cluster.errors import AlreadyExists, InvalidArgument, NotFound, OutOfSequence
from cluster.model.network import NetworkSpec
from cluster.model.service import GlobalMode, NetworkAttachmentConfig, ServiceMode
from cluster.model.stack import KEPT_REVISIONS
from tests.support.builders import counting_ids
from tests.unit.cluster.api.commands.stack_steps import LABELS, Cluster, new, secret, service
from tests.unit.cluster.api.commands.transactions import spec


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_all_objects_come_to_be_in_one_step(cluster: Cluster) -> None:
    network = NetworkSpec(name="shop_front", driver="overlay", labels=LABELS)
    web = service("shop_web", "i:1", "shop_pass")
    template = replace(web.task_template, networks=(NetworkAttachmentConfig(target="shop_front"),))
    web = replace(web, task_template=template)
    before = cluster.state.revision
    deployed = cluster.deploy(
        WantedService(spec=web), networks=(network,), secrets=(secret("shop_pass"),), author="ann"
    )
    assert cluster.state.revision == before + 1
    made = cluster.service("shop_web")
    assert deployed.service_ids == (made.id,)
    assert (deployed.revision, deployed.former_revision) == (1, 0)
    [revision] = cluster.state.revisions_of("shop")
    assert revision.services == (made.spec,)
    assert revision.author == "ann"
    assert [one.spec.name for one in revision.networks] == ["shop_front"]
    assert len(revision.secrets) == 1


def test_a_part_that_is_refused_changes_nothing(cluster: Cluster) -> None:
    cluster.deploy(new("shop_web"))
    state = cluster.state
    stale = replace(cluster.again("shop_web", service("shop_web", "i:2")), version=0)
    for error, wanted in (
        (OutOfSequence, (new("shop_db"), stale)),
        (NotFound, (new("shop_db"), new("shop_api", "i", "nosuch"))),
        (InvalidArgument, (new("shop_db"), WantedService(spec=spec("other")))),
    ):
        with pytest.raises(error):
            cluster.deploy(*wanted)
        assert cluster.state is state


def test_an_equal_deployment_is_no_revision(cluster: Cluster) -> None:
    cluster.deploy(new("shop_web"))
    deployed = cluster.deploy(cluster.again("shop_web", service("shop_web")))
    assert deployed.revision == 1
    assert cluster.numbers() == [1]


def test_a_rollback_brings_back_specs_services_and_secrets_bit_for_bit(cluster: Cluster) -> None:
    cluster.deploy(
        new("shop_web", "i:1", "shop_pass"), new("shop_old"), secrets=(secret("shop_pass"),)
    )
    first = cluster.state.revisions_of("shop")[0]
    second = service("shop_web", "i:2", "shop_pass-2")
    cluster.deploy(cluster.again("shop_web", second), secrets=(secret("shop_pass-2"),))
    cluster(remove_service, "shop_old")
    cluster.deploy(new("shop_new"))
    deployed = cluster.roll_back(1)
    assert {s.spec.name: s.spec for s in cluster.state.services} == {
        spec.name: spec for spec in first.services
    }
    assert cluster.service("shop_web").previous_spec is not None
    assert deployed.former_revision == deployed.revision - 1
    newest = cluster.state.revisions_of("shop")[-1]
    assert newest.is_same_as(first)
    assert newest.message == "rollback to 1"
    assert cluster.roll_back().revision == deployed.revision + 1, "the one before that"


def test_a_service_whose_mode_changed_is_made_anew(cluster: Cluster) -> None:
    cluster.deploy(new("shop_web"))
    old = cluster.service("shop_web")
    cluster(remove_service, "shop_web")
    everywhere = replace(service("shop_web"), mode=ServiceMode(global_=GlobalMode()))
    cluster.deploy(WantedService(spec=everywhere), new("shop_db"))
    cluster.deploy(cluster.again("shop_db", service("shop_db", "i:2")))
    assert cluster.numbers() == [1, 2], "with the last service the stack was forgotten"
    assert old.id not in cluster.state.services


def test_what_other_clients_changed_can_be_returned_to(cluster: Cluster) -> None:
    cluster.deploy(new("shop_web"))
    by_hand = service("shop_web", "by:hand")
    web = cluster.service("shop_web")
    cluster(update_service, web.id, web.meta.version, by_hand)
    deployed = cluster.deploy(cluster.again("shop_web", service("shop_web", "i:3")))
    assert (deployed.former_revision, deployed.revision) == (2, 3)
    cluster.roll_back(2)
    container = cluster.service("shop_web").spec.task_template.container_spec
    assert container is not None
    assert container.image == "by:hand"


def test_a_rollback_keeps_what_other_clients_changed_too(cluster: Cluster) -> None:
    cluster.deploy(new("shop_web"))
    assert not has_drifted(cluster.state, "shop")
    cluster.deploy(cluster.again("shop_web", service("shop_web", "i:2")))
    web = cluster.service("shop_web")
    cluster(update_service, web.id, web.meta.version, service("shop_web", "by:hand"))
    assert has_drifted(cluster.state, "shop")
    deployed = cluster.roll_back()
    assert not has_drifted(cluster.state, "shop")
    assert (deployed.former_revision, deployed.revision) == (3, 4)
    notes = [one.message for one in cluster.state.revisions_of("shop")]
    assert notes == ["", "", "as it was found", "rollback to 1"]
    assert cluster.state.revisions_of("shop")[3].is_same_as(cluster.state.revisions_of("shop")[0])


def test_the_oldest_revision_is_not_pushed_out_by_going_back_to_it(cluster: Cluster) -> None:
    cluster.deploy(new("shop_web", "i", "pass-0"), secrets=(secret("pass-0"),))
    for number in range(1, KEPT_REVISIONS):
        cluster.deploy(cluster.again("shop_web", service("shop_web", f"i:{number}")))
    web = cluster.service("shop_web")
    cluster(update_service, web.id, web.meta.version, service("shop_web", "by:hand"))
    assert cluster.roll_back(1).revision == KEPT_REVISIONS + 1
    assert [one.spec.name for one in cluster.state.secrets] == ["pass-0"]


def test_a_stack_without_revisions_has_not_drifted(cluster: Cluster) -> None:
    cluster(create_service, service("shop_web"), counting_ids("y"))
    assert not has_drifted(cluster.state, "shop")


def test_only_so_many_revisions_are_kept_and_files_only_as_long(cluster: Cluster) -> None:
    cluster.deploy(new("shop_web", "i", "pass-0"), secrets=(secret("pass-0"),))
    for number in range(1, KEPT_REVISIONS + 3):
        wanted = cluster.again("shop_web", service("shop_web", "i", f"pass-{number}"))
        cluster.deploy(wanted, secrets=(secret(f"pass-{number}"),))
    assert cluster.numbers() == list(range(4, KEPT_REVISIONS + 4))
    kept = {one.spec.name for one in cluster.state.secrets}
    assert kept == {f"pass-{number}" for number in range(3, KEPT_REVISIONS + 3)}
    with pytest.raises(NotFound, match="is not kept; there are 4, 5"):
        cluster.roll_back(1)


def test_a_kept_secret_cannot_be_removed_until_the_stack_is_gone(cluster: Cluster) -> None:
    cluster.deploy(new("shop_web", "i", "pass"), secrets=(secret("pass"),))
    cluster.deploy(cluster.again("shop_web", service("shop_web")))
    with pytest.raises(InvalidArgument, match="in use by revision 1 of stack shop"):
        cluster(remove_secret, "pass")
    cluster(remove_service, "shop_web")
    assert cluster.state.stack_by_name("shop") is None
    cluster(remove_secret, "pass")
    with pytest.raises(NotFound, match="has no revisions"):
        find_revision(cluster.state, "shop", 0)


def test_a_lease_keeps_others_out_until_it_is_given_back_or_over(cluster: Cluster) -> None:
    token = cluster.lease()
    for attempt in (lambda: cluster.deploy(new("shop_web")), cluster.lease):
        with pytest.raises(AlreadyExists, match=r"deployed by ann \(began 0 s ago, at most 31 s"):
            attempt()
    cluster.deploy(new("shop_web"), lease=token)
    with pytest.raises(AlreadyExists):
        cluster.roll_back(1)
    cluster.now += 20
    assert cluster.lease(token) == token
    cluster.now += 20
    with pytest.raises(AlreadyExists):
        cluster.lease()
    cluster.now += 20
    other = cluster.lease()
    cluster(release_lease, "shop", token)
    with pytest.raises(AlreadyExists):
        cluster.lease()
    cluster(release_lease, "shop", other)
    cluster.lease()
    with pytest.raises(InvalidArgument, match="0 is not from 1 to 600"):
        cluster.lease(seconds=0)


def test_a_lease_that_was_broken_is_worth_nothing(cluster: Cluster) -> None:
    token = cluster.lease()
    cluster.now += 5
    cluster.lease(token)
    cluster(break_lease, "shop", "user root")
    with pytest.raises(AlreadyExists, match="has ended this deployment's hold"):
        cluster(release_lease, "shop", token)
    for attempt in (
        lambda: cluster.lease(token),
        lambda: cluster.deploy(new("shop_web"), lease=token),
    ):
        with pytest.raises(AlreadyExists, match="user root has ended this deployment's hold"):
            attempt()
    cluster.deploy(new("shop_web"))
    other = cluster.lease()
    assert other != token
    with pytest.raises(AlreadyExists, match="being deployed by ann"):
        cluster.lease(token)


def test_a_lease_that_goes_on_began_when_it_was_taken(cluster: Cluster) -> None:
    token = cluster.lease()
    cluster.now += 20
    cluster.lease(token)
    with pytest.raises(AlreadyExists, match="began 20 s ago, at most 31 s more"):
        cluster.lease()


def test_a_lease_of_a_stack_that_never_was_leaves_nothing(cluster: Cluster) -> None:
    cluster(release_lease, "shop", cluster.lease())
    assert cluster.state.stack_by_name("shop") is None
    stack = cluster.state.stacks
    assert len(stack) == 0


def test_a_deployment_can_give_its_lease_back() -> None:
    cluster = Cluster()
    lease = cluster.lease()
    cluster.deploy(WantedService(spec=service("shop_web")), lease=lease, ends_lease=True)
    assert cluster.lease() != lease  # nobody had it
