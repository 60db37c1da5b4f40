"""The sample site for every situation, and a table of how long pages took."""

import time

import pytest
from sites import Site

_times = []


@pytest.fixture
def timed(request):
    """Calls something, and notes under this name how long it took."""

    def call(name, function, *arguments):
        began = time.perf_counter()
        returned = function(*arguments)
        _times.append((request.node.name, name, 1000 * (time.perf_counter() - began)))
        return returned

    return call


@pytest.fixture
def site():
    """A site that is not started yet."""
    with Site() as site:
        yield site


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("how long pages took")
    for test, name, took_ms in _times:
        terminalreporter.write_line(f"{took_ms:8.1f} ms  {name:<28} {test}")
