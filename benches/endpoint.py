"""Measures probes of the endpoint beside idle, slow and flooding clients: python3 benches/endpoint.py PORTCULLIS.

Prints the time of a probe for each kind of client, and how long a start-up of 200 steps takes with the clients, as a
ratio to the same start-up without them. All clients run in one other process; a closed connection is opened again.
"""

import http.client
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PROBES = 300
ROUNDS = 5


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def idle(port, connections=250):
    """Connections that send nothing."""
    opened = []
    while True:
        try:
            opened.append(socket.create_connection(("127.0.0.1", port)))
        except OSError:
            time.sleep(0.05)
        if len(opened) > connections:
            opened.pop(0).close()
            time.sleep(0.005)


def slow(port):
    """A request of one byte every 50 ms."""
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                for byte in b"GET /readyz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200:
                    connection.send(bytes([byte]))
                    time.sleep(0.05)
        except OSError:
            time.sleep(0.05)


def flood(port):
    """One request after the other, each on a new connection."""
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
                connection.recv(65536)
        except OSError:
            time.sleep(0.05)


KINDS = {"none": (None, 0), "idle": (idle, 4), "slow": (slow, 200), "flooding": (flood, 2)}


def attack(client, threads, port):
    for _ in range(threads):
        threading.Thread(target=client, args=(port,), daemon=True).start()
    time.sleep(3600)


class Clients:
    def __init__(self, kind, port):
        client, threads = KINDS[kind]
        self.process = client and multiprocessing.Process(target=attack, args=(client, threads, port))

    def __enter__(self):
        if self.process:
            self.process.start()

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.join()


def probe(port):
    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/livez")
    status = connection.getresponse().status
    connection.close()
    assert status == 200, status
    return 1000 * (time.monotonic() - start)


def start(portcullis, port, steps):
    folder = tempfile.mkdtemp()
    with open(f"{folder}/config.toml", "w") as config:
        config.write(f'[status]\nlisten = "127.0.0.1:{port}"\n{steps}[server]\ncommand = ["true"]\n')
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([portcullis, "run"], cwd=folder, **quiet)


def step(name, command):
    return f'[[step]]\nname = "{name}"\ncommand.run = {command}\n'


def probes(portcullis, kind):
    port = free_port()
    running = start(portcullis, port, step("waits", '["sleep", "1000"]'))
    time.sleep(0.5)
    with Clients(kind, port):
        time.sleep(1)
        times = sorted(probe(port) for _ in range(PROBES))
    running.terminate()
    running.wait()
    return times[len(times) // 2], times[len(times) * 99 // 100], times[-1]


def start_up(portcullis, kind):
    port = free_port()
    steps = "".join(step(f"step {number}", '["true"]') for number in range(200))
    with Clients(kind, port):
        time.sleep(0.5)
        began = time.monotonic()
        assert start(portcullis, port, steps).wait() == 0
        return time.monotonic() - began


def main(portcullis):
    print("| clients | probe: median | 99 % | longest | start-up |\n|---|---|---|---|---|")
    for kind in KINDS:
        median, most, longest = probes(portcullis, kind)
        ratios = [start_up(portcullis, kind) / start_up(portcullis, "none") for _ in range(ROUNDS)]
        ratio = statistics.median(ratios)
        print(f"| {kind} | {median:.1f} ms | {most:.1f} ms | {longest:.1f} ms | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
