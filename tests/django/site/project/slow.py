"""What is slow about real sites, made as slow here as it has to be to be worth a cache."""

import threading
import time

#: Of a query over a big table, or a disk that is far away.
SLOW_S = 0.15

_lock = threading.Lock()
_built = 0


def slowly_built():
    """Takes its time, and returns how many things this process has built so far."""
    global _built
    time.sleep(SLOW_S)
    with _lock:
        _built += 1
        return _built
