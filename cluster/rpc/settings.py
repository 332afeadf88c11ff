"""Connection settings that both ends of the gRPC wire must agree on."""

from __future__ import annotations

from typing import Final

MANAGER_SERVER_NAME: Final = "swarm-manager"
"""The name a node asks for and a manager's certificate carries."""

JOIN_SERVER_NAME: Final = "join.stackyard"
"""The name a joining node asks for, which has no certificate yet."""

KEEPALIVE_INTERVAL_MS: Final = 5000
KEEPALIVE_TIMEOUT_MS: Final = 5000
"""A manager that dies is noticed before this, by the heartbeats; pings find dead connections."""

SERVER_KEEPALIVE_MS: Final = 60_000
"""The dispatcher knows by the heartbeats which nodes live; of thousands each ping costs."""

COMMON_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # a full set of tasks comes as one message: some 1 kB a task
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
)

SERVER_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    *COMMON_OPTIONS,
    ("grpc.keepalive_time_ms", SERVER_KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", SERVER_KEEPALIVE_MS // 2),
    # without this the server takes the keepalive above for an attack
    ("grpc.http2.min_recv_ping_interval_without_data_ms", KEEPALIVE_INTERVAL_MS // 2),
    ("grpc.http2.max_ping_strikes", 0),
)

CHANNEL_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    *COMMON_OPTIONS,
    ("grpc.keepalive_time_ms", KEEPALIVE_INTERVAL_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),  # gRPC would wait a minute else
    ("grpc.ssl_target_name_override", MANAGER_SERVER_NAME),
    # A manager that is about to listen is tried again soon: raft's members wait for it.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2000),  # in truth how long one attempt may take
    ("grpc.max_reconnect_backoff_ms", 400),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel never inherits another's back-off
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # nodes speak to each other directly
)

SESSION_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    *(
        option
        for option in CHANNEL_OPTIONS
        if option[0] not in {"grpc.keepalive_time_ms", "grpc.min_reconnect_backoff_ms"}
        and not option[0].endswith("timeout_ms")
    ),
    # Heartbeats tell whether the manager lives. Thousands that hang up on one that is slow to
    # answer pings or to shake hands, and come again, would keep it from answering anybody.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 30_000),
    ("grpc.http2.ping_timeout_ms", 30_000),
    ("grpc.min_reconnect_backoff_ms", 20_000),
)
"""For the channel of a node's session, whose calls all have times of their own."""
