"""Waiting for conditions, never for time to pass."""

import time

#: For anything that should happen at once; generous, because two suites may share one core.
LIMIT_S = 60.0


def eventually(condition, message="it did not come true", limit_s=LIMIT_S):
    """Calls `condition` until its answer is true, and returns that answer."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{message} within {limit_s} s; last answer: {answer!r}")
        time.sleep(0.01)
