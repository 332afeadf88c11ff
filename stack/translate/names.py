"""Names and labels by which a stack's objects are known, the same as Docker's own client uses."""

from __future__ import annotations

from collections.abc import Mapping

NAMESPACE_LABEL = "com.docker.stack.namespace"
IMAGE_LABEL = "com.docker.stack.image"

PREDEFINED_NETWORKS = ("bridge", "host", "none", "default")


def scoped(stack: str, key: str) -> str:
    """The name in the cluster of an object that the file calls `key`."""
    return f"{stack}_{key}"


def labelled(stack: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Labels with the stack's own added."""
    return {**labels, NAMESPACE_LABEL: stack}


def full_image(image: str) -> str:
    """An image with its tag written out: "redis" is "redis:latest"."""
    last_part = image.rsplit("/", 1)[-1]
    return image if ":" in last_part or "@" in image else f"{image}:latest"
