"""The front of the guest book: shows the entries in the database, puts new ones into the queue.

GET /         a page with the newest entries and a form
GET /entries  the same as JSON
POST /entries an entry, from the form or as JSON {"name": …, "text": …}
GET /healthz  "ok" while this process serves
"""

import html
import json
import os
import signal
import socket
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from waiting import INCOMING, UNREACHABLE, database, queue

PAGE = """<!doctype html>
<meta charset="utf-8"><title>Guest book</title>
<h1>Guest book</h1>
<form method="post" action="/entries">
<input name="name" placeholder="Name" required> <input name="text" placeholder="Text" required>
<button>Sign</button>
</form>
<ul>%s</ul>
<p>Served by container %s.</p>
"""
LONGEST_BODY = 64 * 1024  # bytes


class Guestbook(BaseHTTPRequestHandler):
    """One request; connections to queue and database live as long as it does."""

    def do_GET(self) -> None:
        """Show entries."""
        if self.path == "/healthz":
            return self.answer(200, "text/plain", "ok\n")
        if self.path not in ("/", "/entries"):
            return self.answer(404, "text/plain", "not found\n")
        try:
            entries = newest()
        except UNREACHABLE as error:
            return self.answer(503, "text/plain", f"database: {error}\n")
        if self.path == "/entries":
            return self.answer(200, "application/json", json.dumps(entries, indent=1) + "\n")
        items = "".join(
            f"<li><b>{html.escape(e['name'])}</b>: {html.escape(e['text'])}</li>" for e in entries
        )
        return self.answer(200, "text/html", PAGE % (items, html.escape(socket.gethostname())))

    def do_POST(self) -> None:
        """Accept an entry; a worker will write it down."""
        if self.path != "/entries":
            return self.answer(404, "text/plain", "not found\n")
        length = int(self.headers.get("Content-Length", "0"))
        if length > LONGEST_BODY:
            return self.answer(413, "text/plain", f"an entry may have {LONGEST_BODY} bytes\n")
        body = self.rfile.read(length).decode("utf-8", "replace")
        from_form = "json" not in self.headers.get("Content-Type", "")
        try:
            fields = {k: v[0] for k, v in parse_qs(body).items()} if from_form else json.loads(body)
            entry = {"id": str(uuid.uuid4()), "name": str(fields["name"]), "text": str(fields["text"])}
        except (ValueError, KeyError, TypeError):
            return self.answer(400, "text/plain", "an entry has a name and a text\n")
        try:
            queue().lpush(INCOMING, json.dumps(entry))
        except UNREACHABLE as error:
            return self.answer(503, "text/plain", f"queue: {error}\n")
        if from_form:
            return self.answer(303, "text/plain", "", Location="/")
        return self.answer(202, "application/json", json.dumps(entry) + "\n")

    def answer(self, status: int, kind: str, text: str, **headers: str) -> None:
        """Send a whole answer."""
        data = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it
        """One line a request on stdout, where `docker logs` shows it."""
        print(f"{self.address_string()} {format % args}", flush=True)


def newest() -> list[dict[str, str]]:
    """The 50 newest entries, newest first; none while no worker has made the table."""
    connection = database()
    try:
        with connection.cursor() as cursor:
            cursor.execute("select to_regclass('entries')")
            if cursor.fetchone()[0] is None:
                return []
            cursor.execute("select name, text, worker from entries order by written desc limit 50")
            return [dict(zip(("name", "text", "worker"), row)) for row in cursor.fetchall()]
    finally:
        connection.close()


def main() -> None:
    """Serve on $PORT (8081) until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    port = int(os.environ.get("PORT", "8081"))
    print(f"{socket.gethostname()} listens on port {port}", flush=True)
    ThreadingHTTPServer(("", port), Guestbook).serve_forever()


if __name__ == "__main__":
    main()
