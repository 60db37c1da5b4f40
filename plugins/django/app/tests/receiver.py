"""A server in this process that takes messages and answers as it is told."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """What it received, and what it answers: a status, or an event to wait for first."""

    def __init__(self):
        self.received = []
        self.status = 200
        self.gate = None
        self.url = None

    @property
    def events(self):
        """The events of all messages that were acknowledged."""
        bodies = [body for status, _, body in self.received if status == 200]
        return [event for body in bodies for event in body["data"]["events"]]

    @property
    def ids(self):
        return [fields["webhook-id"] for _, fields, _ in self.received]


@contextmanager
def receiver():
    """Runs one on a free port."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if state.gate is not None:
                state.gate.wait(30)
            status = state.status(body) if callable(state.status) else state.status
            fields = {name.lower(): value for name, value in self.headers.items()}
            state.received.append((status, {**fields, "path": self.path}, body))
            try:
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")
            except OSError:
                # The sender has given up waiting.
                pass

        def log_message(self, format, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        if state.gate is not None:
            state.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
