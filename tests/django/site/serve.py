"""Makes the tables and sample rows, prints `ready`, and serves until it is killed.

python serve.py FD, with the descriptor of a socket that listens already: its address is known
before the site starts.

A fixed number of threads lives as long as the process, as in the usual servers of applications, so
that a thread's connection to the cache can outlive a request.
"""

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

import django  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402

THREADS = 4


class Server(WSGIServer):
    """Takes requests on a few threads."""

    pool = ThreadPoolExecutor(max_workers=THREADS)

    def process_request(self, request, client_address):
        self.pool.submit(self._process, request, client_address)

    def _process(self, request, client_address):
        try:
            self.finish_request(request, client_address)
        except ConnectionError:
            pass  # The client has gone.
        finally:
            self.shutdown_request(request)


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *arguments):
        pass


def main():
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("createcachetable", verbosity=0)
    from project.sample import make_rows

    make_rows()
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = Server(listener.getsockname(), Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = listener.getsockname()
    server.setup_environ()
    server.set_app(get_wsgi_application())
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
