from __future__ import annotations

import pytest

from cluster.model.device_claims import claims_of, kind_of, shared_kinds_of, with_names
from cluster.model.extensions import ContainerExtensions, DeviceRequest, TaskExtensions
from cluster.model.generic_resources import NO_WISH, Wish, wish_of
from cluster.model.resources import DiscreteResource, GenericResource, NamedResource
from cluster.model.service import TaskSpec


def request(count: int = 0, *names: str, of: tuple[str, ...] = ("gpu",)) -> DeviceRequest:
    return DeviceRequest(count=count, device_ids=names, capabilities=of)


def spec(*requests: DeviceRequest) -> TaskSpec:
    container = ContainerExtensions(device_requests=requests)
    return TaskSpec(extensions=TaskExtensions(container=container))


def named(*names: str, kind: str = "gpu") -> tuple[GenericResource, ...]:
    return tuple(
        GenericResource(named_resource_spec=NamedResource(kind=kind, value=name)) for name in names
    )


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (DeviceRequest(capabilities=("nvidia", "gpu")), "gpu"),
        (DeviceRequest(capabilities=("tpu", "compute"), driver="google"), "tpu"),
        (DeviceRequest(driver="fpga"), "fpga"),
    ],
)
def test_the_kind_is_what_is_asked_for(asked: DeviceRequest, kind: str) -> None:
    assert kind_of(asked) == kind


def test_numbers_and_names_are_held_and_all_is_shared() -> None:
    asked = spec(request(2), request(1), request(0, "a"), request(1, of=("tpu",)), request(-1))
    wish = Wish(numbers={"gpu": 3, "tpu": 1}, names={"gpu": ("a",)})
    assert wish_of(claims_of(asked)) == wish
    assert shared_kinds_of(asked) == ("gpu",)
    for nothing in (TaskSpec(), spec(request(0)), spec(request(-1))):
        assert wish_of(claims_of(nothing)) == NO_WISH
    assert shared_kinds_of(TaskSpec()) == ()


def test_the_driver_is_told_which_devices_a_task_was_given() -> None:
    asked = request(0, "b"), request(1), request(2), request(-1), request(1, of=("tpu",))
    counted = GenericResource(discrete_resource_spec=DiscreteResource(kind="tpu", value=1))
    assert with_names(asked, (*named("a", "b", "c", "d"), counted)) == (
        request(0, "b"),
        request(0, "a"),
        request(0, "c", "d"),
        request(-1),
        request(1, of=("tpu",)),
    )
    assert with_names(asked, ()) == asked
