"""What the client scripts share: one way to compare, which says what it saw."""

import sys


def check(seen, expected, what):
    """Ends the script with what differs; else says what was checked."""
    if seen != expected:
        sys.exit(f"{what}: expected {expected!r}, saw {seen!r}")
    print(f"{what}: as expected")


def server():
    """Host and port of the first argument."""
    host, port = sys.argv[1].rsplit(":", 1)
    return host, int(port)
