"""What web and worker share: where queue and database are, and patience until they answer."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg2
import redis

T = TypeVar("T")

INCOMING = "guestbook:incoming"  # a list: web pushes left, workers take from the right
UNREACHABLE = (psycopg2.OperationalError, psycopg2.InterfaceError, redis.RedisError)


def queue() -> redis.Redis:
    """A client of the queue; it connects when it is first used."""
    host = os.environ.get("QUEUE_HOST", "127.0.0.1")
    port = int(os.environ.get("QUEUE_PORT", "6379"))
    return redis.Redis(host=host, port=port, socket_connect_timeout=3, socket_timeout=10)


def database() -> "psycopg2.extensions.connection":
    """A new connection to the database."""
    return psycopg2.connect(
        host=os.environ.get("DB_HOST", "127.0.0.1"),
        port=os.environ.get("DB_PORT", "5432"),
        user="guestbook",
        dbname="guestbook",
        password=os.environ["DB_PASSWORD"],
        connect_timeout=3,
    )


def until_reachable(what: str, attempt: Callable[[], T]) -> T:
    """Try again each second until queue and database answer: services start in any order."""
    said = False
    while True:
        try:
            return attempt()
        except UNREACHABLE as error:
            if not said:
                print(f"waiting for {what}: {str(error).splitlines()[0]}", flush=True)
                said = True
            time.sleep(1)
