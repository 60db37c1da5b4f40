"""Lets every suite below find the harness, and the plugins' library in Python."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

sys.path[:0] = [str(HERE), str(HERE.parents[1] / "guest-sdk/python/src")]
