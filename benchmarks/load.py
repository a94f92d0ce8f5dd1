"""The load of `http_rate.py`: one process that keeps eight connections busy, each with one request at a time.

`python benchmarks/load.py PORT COUNT SKUS PROCESSES [TOKEN]` sends `COUNT` orders to a service of so many
processes, and prints a JSON list: seconds, this process' own processor seconds, and the median and 99th
percentile of the milliseconds that an answer took. It speaks HTTP over plain sockets, so that it takes
little of the processors that it shares with the service, and uses nothing but the standard library. With an
API key as TOKEN, each request has one of everything that the edge takes: see `headers`.
"""

from __future__ import annotations

import json
import selectors
import socket
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from uuid import uuid4

CONNECTIONS = 8
_TRIES = 40


class Connection:
    """One connection, with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._sent = 0.0

    @property
    def port(self) -> int:
        """The port at this end."""
        return int(self.socket.getsockname()[1])

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self._sent = time.perf_counter()
        self.socket.sendall(request)

    def hear(self) -> float | None:
        """Take in what has come; give the milliseconds when the answer is whole. It has to be a 201."""
        came = self.socket.recv(65536)
        self._buffer += came
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if came and (not end or len(body) < _length(head)):
            return None
        if not head.startswith(b"HTTP/1.1 201"):
            raise AssertionError(self._buffer.decode() or "the service closed the connection")
        self._buffer = b""
        return (time.perf_counter() - self._sent) * 1000


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0])


def headers(token: str) -> str:
    """Write the headers of a request with everything: a key of its own, credentials, a trace, a condition."""
    if not token:
        return "Accept: */*\r\n"
    return (
        f"Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: {uuid4()}\r\nX-Correlation-ID: {uuid4()}\r\nIf-Match: *\r\n"
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
    )


def order(number: int, skus: int, token: str = "") -> bytes:
    """Write the request of one order line; the SKUs come in turn."""
    body = json.dumps({"sku": f"SKU-{number % skus:04}", "quantity": 1 + number % 9}).encode()
    return (
        f"POST /allocation/orders/order-{number}/lines HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers(token)}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def connect(port: int, processes: int) -> list[Connection]:
    """Open the connections, as many to each process of the service: the kernel spreads them by chance.

    Where the system does not tell which process has a connection, they stay as they fell.
    """
    share = CONNECTIONS // processes
    held: defaultdict[str, list[Connection]] = defaultdict(list)
    for _ in range(_TRIES):
        made = [Connection(port) for _ in range(CONNECTIONS)]
        time.sleep(0.05)  # until they are accepted
        owners = _owners(port)
        if not owners:
            return made
        for each in made:
            held[owners[each.port]].append(each)
        if sum(len(each) >= share for each in held.values()) == processes:
            return [one for some in held.values() for one in some[:share]]
    raise RuntimeError("the connections could not be spread evenly")


def _owners(port: int) -> dict[int, str]:
    """Say which process has accepted the connection from each of our ports."""
    table = Path("/proc/net/tcp")
    rows = [line.split() for line in table.read_text().splitlines()[1:]] if table.exists() else []
    ends = {f"socket:[{row[9]}]": _port(row[2]) for row in rows if _port(row[1]) == port}
    owners = {}
    for file in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(file.readlink())
        except OSError:
            continue  # it was closed meanwhile
        if target in ends:
            owners[ends[target]] = file.parts[2]
    return owners


def _port(address: str) -> int:
    return int(address.split(":")[1], 16)


def send(connections: list[Connection], numbers: range, skus: int, token: str) -> list[float]:
    """Send the orders, the next wherever an answer has come; give the milliseconds of each."""
    requests = [order(number, skus, token) for number in reversed(numbers)]
    took = []
    with selectors.DefaultSelector() as selector:
        for each in connections[: len(numbers)]:
            selector.register(each.socket, selectors.EVENT_READ, each)
            each.ask(requests.pop())
        while len(took) < len(numbers):
            for key, _ in selector.select(10):
                if (milliseconds := key.data.hear()) is not None:
                    took.append(milliseconds)
                    if requests:
                        key.data.ask(requests.pop())
    return took


def main() -> None:
    """Send what the command line says, and print what it took."""
    port, count, skus, processes = map(int, sys.argv[1:5])
    token = "".join(sys.argv[5:])
    connections = connect(port, processes)
    for number, each in enumerate(connections):  # one after another: all have served when the clock starts
        send([each], range(count + number, count + number + 1), skus, token)
    started, used = time.perf_counter(), time.process_time()
    took = send(connections, range(count), skus, token)
    seconds, own = time.perf_counter() - started, time.process_time() - used
    hundredths = statistics.quantiles(took, n=100)
    print(json.dumps([seconds, own, hundredths[49], hundredths[98]]))


if __name__ == "__main__":
    main()
