"""`python -m wasmcached_plugin build [DIR] [--module NAME] [--output FILE]`.

The last line printed is the component's path; mistakes go to standard error with exit code 1.
"""

import argparse
import sys
from pathlib import Path

from .build import BuildError, build


def main() -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m wasmcached_plugin")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="make the component of a plugin")
    command.add_argument("folder", nargs="?", default=".", metavar="DIR", help="of the plugin")
    command.add_argument("--module", default="plugin", metavar="NAME", help="that has the plugin")
    command.add_argument("--output", metavar="FILE", help="DIR/NAME.wasm if left out")
    given = parser.parse_args()
    output = Path(given.output) if given.output else None
    try:
        print(build(Path(given.folder), given.module, output))
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
