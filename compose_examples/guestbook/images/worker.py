"""Takes entries from the queue and writes them into the database, each exactly once.

An entry is moved to a list of this worker's own before it is written, and removed from there only
after the database has it. A worker that died in between left its list behind: any worker that
starts puts such entries back. Writing one twice does nothing, for an entry has an ID.
"""

import json
import os
import signal
import socket

import redis
from psycopg2.extensions import connection as Connection
from waiting import INCOMING, UNREACHABLE, database, queue, until_reachable

NAME = socket.gethostname()
TAKEN = f"guestbook:taken:{NAME}"
ALIVE = f"guestbook:alive:{NAME}"
ALIVE_S = 30
TABLE = """
create table if not exists entries (
    id uuid primary key,
    name text not null,
    text text not null,
    worker text not null,
    written timestamptz not null default now()
)
"""


def main() -> None:
    """Work until SIGTERM or SIGINT; a lost connection is made again."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    while True:
        try:
            until_reachable("the queue", queue().ping)
            connection = until_reachable("the database", database)
            prepare(connection)
            print(f"{NAME} is at work", flush=True)
            work(connection, queue())
        except UNREACHABLE as error:
            print(f"starting over: {str(error).splitlines()[0]}", flush=True)


def prepare(connection: Connection) -> None:
    """Make the table; two workers may try at the same time."""
    with connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(1)")
        cursor.execute(TABLE)


def work(connection: Connection, entries: redis.Redis) -> None:
    """Write entries as they come."""
    while True:
        entries.set(ALIVE, "", ex=ALIVE_S)
        give_back(entries)
        raw = entries.brpoplpush(INCOMING, TAKEN, timeout=5)
        if raw is None:
            continue
        entry = json.loads(raw)
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "insert into entries (id, name, text, worker) values (%s, %s, %s, %s)"
                " on conflict (id) do nothing",
                (entry["id"], entry["name"], entry["text"], NAME),
            )
        entries.lrem(TAKEN, 1, raw)
        print(f"wrote entry {entry['id']}", flush=True)


def give_back(entries: redis.Redis) -> None:
    """Return what workers that are gone had taken."""
    for key in entries.scan_iter("guestbook:taken:*"):
        owner = key.decode().removeprefix("guestbook:taken:")
        if owner == NAME or not entries.exists(f"guestbook:alive:{owner}"):
            while entries.rpoplpush(key, INCOMING):
                pass


if __name__ == "__main__":
    main()
