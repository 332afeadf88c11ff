"""When a node renews its certificate."""

from __future__ import annotations

from random import Random
from typing import Final

from cluster.ca.authority import BACKDATE_NS
from cluster.ca.identity import NodeIdentity
from cluster.model.units import Timestamp

_EARLIEST: Final = 0.5
_LATEST: Final = 0.8
_FIRST_RETRY_S: Final = 5.0
_LONGEST_RETRY_S: Final = 3600.0


def renewal_time(identity: NodeIdentity, rng: Random) -> Timestamp:
    """Return a random moment between 50 % and 80 % of a certificate's validity.

    Random, so that nodes which joined together do not all come back at once.  The hour by which
    certificates are backdated does not count.
    """
    begins = identity.not_before + BACKDATE_NS
    share = rng.uniform(_EARLIEST, _LATEST)
    return Timestamp(begins + round((identity.not_after - begins) * share))


def retry_delay_s(failures: int, rng: Random) -> float:
    """Return how long to wait after the given number (from 1) of failed renewals in a row.

    Doubles from 5 s to an hour, a random half of it taken off.
    """
    longest = min(_FIRST_RETRY_S * 2.0 ** min(failures - 1, 16), _LONGEST_RETRY_S)
    return longest * rng.uniform(0.5, 1.0)
