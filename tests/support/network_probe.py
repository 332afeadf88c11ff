"""Servers and clients that tests run inside containers and hosts of the lab; standard library only.

serve NAME PORT            TCP and UDP: first line "NAME CLIENT", then echo; ends with standard input;
                           after SIGTERM with the last connection, and takes no new ones soon
ask tcp|udp HOST PORT N    N times connect, print who answered; "error ..." where nobody did
tally HOST PORT N          N times connect over TCP, print at the end how often who answered
load PORT HOST...          connect to each in turn, ask and be answered, until standard input ends;
                           print how often that went well and badly, and the first few errors
hold HOST PORT             connect, print who answered, then echo each line of standard input
name-server ADDRESS ZONE ANSWER
dns SERVER NAME TYPE [tcp] print the return code and the answers, sorted unless "unsorted"
"""

import os
import signal
import socket
import socketserver
import sys
import threading
import time

LIMIT_S = 10.0  # generous, as the machine may be busy; what is dropped takes that long
LOAD_LIMIT_S = 20.0  # of a request that must be answered, however busy the machine is
LAST_ANSWERS_S = 0.5  # after SIGTERM: what was on its way comes in
LAST_CONNECTIONS_S = 8.0  # after that: less than the ten seconds that a task has to stop


class Tcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(f"{sys.argv[2]} {self.client_address[0]}\n".encode())
        for line in self.rfile:
            if line == b"sink\n":
                while self.connection.recv(1 << 20):
                    pass
                return
            self.wfile.write(line)


class Udp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        _, server = self.request
        server.sendto(f"{sys.argv[2]} {self.client_address[0]}".encode(), self.client_address)


class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.open = set()
        self.is_queue_empty = False

    def process_request(self, request, client) -> None:
        self.open.add(request)
        super().process_request(request, client)

    def shutdown_request(self, request) -> None:
        super().shutdown_request(request)
        self.open.discard(request)

    def handle_timeout(self) -> None:
        self.is_queue_empty = True

    def handle_error(self, *_: object) -> None:
        """A client that left in the middle is no news."""

    def finish(self) -> None:
        """Take what waits to be accepted and nothing more, and let all talk to their end."""
        self.timeout = 0
        while not self.is_queue_empty:
            self.handle_request()
        self.server_close()
        limit = time.monotonic() + LAST_CONNECTIONS_S
        while self.open and time.monotonic() < limit:
            time.sleep(0.02)


def serve() -> None:
    port = int(sys.argv[3])
    tcp, udp = TcpServer(("", port), Tcp), socketserver.UDPServer(("", port), Udp)
    threading.Thread(target=udp.serve_forever, daemon=True).start()
    print("ready", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    # As servers do, it answers what it has been asked before it ends.
    last = threading.Timer(LAST_ANSWERS_S, tcp.shutdown)
    signal.signal(signal.SIGTERM, lambda *_: last.start())
    tcp.serve_forever()
    tcp.finish()
    os._exit(0)


def ask() -> None:
    kind, host, port, count = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    for _ in range(count):
        try:
            if kind == "tcp":
                with socket.create_connection((host, port), LIMIT_S) as connection:
                    print(connection.makefile().readline().strip())
            else:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                    datagrams.settimeout(LIMIT_S)
                    datagrams.connect((host, port))
                    datagrams.send(b"x")
                    print(datagrams.recv(2000).decode())
        except OSError as error:
            print("error", type(error).__name__)


def tally() -> None:
    counts: dict[str, int] = {}
    for _ in range(int(sys.argv[4])):
        try:
            with socket.create_connection((sys.argv[2], int(sys.argv[3])), LIMIT_S) as connection:
                name = connection.makefile().readline().split()[0]
        except (OSError, IndexError):
            name = "error"
        counts[name] = counts.get(name, 0) + 1
    for name, count in sorted(counts.items()):
        print(name, count)


def load() -> None:
    stopping = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    port, hosts = int(sys.argv[2]), sys.argv[3:]
    good, bad, errors = 0, 0, []
    while not stopping.is_set():
        host = hosts[(good + bad) % len(hosts)]
        step = "connect"
        try:
            with socket.create_connection((host, port), LOAD_LIMIT_S) as connection:
                stream = connection.makefile("rw")
                step = "greeting"
                if not stream.readline():
                    raise OSError("closed")
                step = "echo"
                stream.write("x\n")
                stream.flush()
                if stream.readline() != "x\n":
                    raise OSError("closed")
            good += 1
        except OSError as error:
            bad += 1
            errors.append(f"{host} {step}: {error or type(error).__name__}")
    print(good, bad, *errors[:5], sep="\n")


def hold() -> None:
    with socket.create_connection((sys.argv[2], int(sys.argv[3])), LIMIT_S) as connection:
        stream = connection.makefile("rw")
        print(stream.readline().strip(), flush=True)
        for line in sys.stdin:
            try:
                stream.write(line)
                stream.flush()
                print(stream.readline().strip() or "closed", flush=True)
            except OSError as error:
                print("error", type(error).__name__, flush=True)
                return


def dns() -> None:
    from dnslib import DNSRecord  # of the project's environment

    server, name, kind, *more = sys.argv[2:]
    question = DNSRecord.question(name, kind)
    try:
        data = question.send(server, 53, tcp="tcp" in more, timeout=LIMIT_S)
    except OSError as error:
        print("error", type(error).__name__)
        return
    answer = DNSRecord.parse(data)
    values = [str(record.rdata) for record in answer.rr]
    print(answer.header.rcode, *(values if "unsorted" in more else sorted(values)))


def name_server() -> None:
    from dnslib import QTYPE, RCODE, RR, A
    from dnslib.server import DNSServer  # as above

    address, zone, answer = sys.argv[2:]

    class Resolver:
        def resolve(self, request, handler):
            reply = request.reply()
            if str(request.q.qname).rstrip(".").endswith(zone):
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(answer)))
            else:
                reply.header.rcode = RCODE.NXDOMAIN
            return reply

    for tcp in (False, True):
        DNSServer(Resolver(), address=address, port=53, tcp=tcp).start_thread()
    print("ready", flush=True)
    sys.stdin.read()


def connect() -> None:
    place, count = (sys.argv[2], int(sys.argv[3])), int(float(sys.argv[4]))
    times = []
    for _ in range(count):
        began = time.perf_counter()
        with socket.create_connection(place, LIMIT_S) as connection:
            connection.recv(100)  # all of it, so that closing is no reset
        times.append(time.perf_counter() - began)
    print(1e6 * sorted(times)[count // 2])


def bulk() -> None:
    place, seconds = (sys.argv[2], int(sys.argv[3])), float(sys.argv[4])
    block, sent = b"x" * (1 << 20), 0
    with socket.create_connection(place, LIMIT_S) as connection:
        connection.recv(100)
        connection.sendall(b"sink\n")
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            connection.sendall(block)
            sent += len(block)
        print(8e-9 * sent / (time.perf_counter() - began))


if __name__ == "__main__":
    {
        "serve": serve,
        "ask": ask,
        "tally": tally,
        "load": load,
        "hold": hold,
        "dns": dns,
        "name-server": name_server,
        "connect": connect,
        "bulk": bulk,
    }[sys.argv[1]]()
