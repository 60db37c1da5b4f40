"""Python's own http.server for a folder, as an origin: prints its port, serves until killed."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        pass


with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=sys.argv[1])) as server:
    print(f"port {server.server_port}", flush=True)
    server.serve_forever()
