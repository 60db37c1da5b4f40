"""The README of `wasmcached-django`, followed to the letter in a new project."""

import os
import re
import subprocess
import sys

from harness import SECRET, Server
from sites import APP

README = APP.parent / "README.md"

STORY = """
from django.contrib.auth.models import Group
from django.core.cache import cache

def names():
    return cache.get_or_set("names", lambda: [g.name for g in Group.objects.all()], tags=[Group])

group = Group.objects.create(name="porters")
assert names() == ["porters"]
assert cache.get("names") == ["porters"]
group.name = "guides"
group.save()
assert cache.get("names") is None
assert names() == ["guides"]
"""


def block(language):
    """The first block of the README in a language, with the secret filled in."""
    found = re.search(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    return found[1].replace("whsec_…", SECRET)


def test_the_lines_of_the_readme_are_enough(tmp_path):
    def run(*command):
        environment = {**os.environ, "PYTHONPATH": str(APP)}
        ended = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    with Server.start(block("toml")) as server:
        run("-m", "django", "startproject", "shop", ".")
        lines = block("python")
        for default, door in [("127.0.0.1:8081", "api"), ("127.0.0.1:11211", "memcached")]:
            assert default in lines
            lines = lines.replace(default, server.address(door))
        with open(tmp_path / "shop/settings.py", "a") as settings:
            settings.write("\n" + lines)
        run("manage.py", "migrate")
        run("manage.py", "wasmcached", "check")
        run("manage.py", "shell", "-c", STORY)
