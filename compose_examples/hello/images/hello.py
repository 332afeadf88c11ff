"""A web server that says which container answered, and stops at once when told to."""

import json
import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    """GET / answers in words, GET /env as JSON with the environment, GET /healthz with "ok"."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer any path."""
        container = socket.gethostname()
        if self.path == "/env":
            body, kind = json.dumps({"container": container, "env": dict(os.environ)}, indent=1), "application/json"
        elif self.path == "/healthz":
            body, kind = "ok", "text/plain"
        else:
            greeting = os.environ.get("GREETING", "Hello")
            body, kind = f"{greeting} from container {container}", "text/plain"
        data = (body + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it
        """One line a request on stdout, where `docker logs` shows it."""
        print(f"{self.address_string()} {format % args}", flush=True)


def main() -> None:
    """Serve on $PORT (8080) until SIGTERM or SIGINT."""
    # The first process of a container ignores signals it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    port = int(os.environ.get("PORT", "8080"))
    server = ThreadingHTTPServer(("", port), Hello)
    print(f"{socket.gethostname()} listens on port {port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
