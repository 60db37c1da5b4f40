"""What is slow about real sites, made as slow here as it has to be to be worth a cache.

Where `SITE_GATE` names a folder with a file `held`, it takes until that file is gone, and says so
by a file `waiting`: between what was read and what is made of it, there is time for anything.
"""

import os
import threading
import time
from pathlib import Path

#: Of a query over a big table, or a disk that is far away.
SLOW_S = 0.15

_lock = threading.Lock()
_built = 0


def slowly_built():
    """Takes its time, and returns how many things this process has built so far."""
    global _built
    time.sleep(SLOW_S)
    if "SITE_GATE" in os.environ:
        _wait_at(Path(os.environ["SITE_GATE"]))
    with _lock:
        _built += 1
        return _built


def _wait_at(gate):
    while (gate / "held").exists():
        (gate / "waiting").touch()
        time.sleep(0.01)
