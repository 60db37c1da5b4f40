"""What the builder says before the slow part, and what it writes."""

import subprocess
import sys
from pathlib import Path

from wasmcached_plugin import build

SOURCE = Path(build.__file__).parent.parent

PLUGIN = """
from wasmcached_plugin import plugin


@plugin(name="shop")
class Shop:
    def on_event(self, event):
        return []
"""


def refusal(folder, *arguments):
    """What the command says; in a process of its own, as plugins are counted per process."""
    command = [sys.executable, "-B", "-m", "wasmcached_plugin", "build", str(folder), *arguments]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_a_module_that_is_not_there_is_named(tmp_path):
    assert refusal(tmp_path) == (
        f"error: no module `plugin` in {tmp_path}; --module names another one\n"
    )
    assert "no folder" in refusal(tmp_path / "nowhere")


def test_a_module_without_a_plugin_is_told_what_is_wanted(tmp_path):
    (tmp_path / "shop.py").write_text("")
    words = "error: no plugin in `shop`; a class under @plugin(name=...) is wanted\n"
    assert refusal(tmp_path, "--module", "shop") == words


def test_two_plugins_are_named(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN + PLUGIN.replace("Shop", "Other"))
    words = "error: 2 plugins, of which one can be built: plugin.Shop, plugin.Other\n"
    assert refusal(tmp_path) == words


def test_an_exception_while_importing_is_told_in_its_own_words(tmp_path):
    (tmp_path / "plugin.py").write_text("import no_such_library\n")
    words = "error: plugin can't be imported: No module named 'no_such_library' (plugin.py:1)\n"
    assert refusal(tmp_path) == words


def test_an_exception_while_importing_is_told_with_the_plugins_own_line(tmp_path):
    (tmp_path / "helper.py").write_text("import json\n\njson.loads('')\n")
    (tmp_path / "plugin.py").write_text("import helper\n")
    words = "error: plugin can't be imported: JSONDecodeError: Expecting value: line 1 column 1"
    assert refusal(tmp_path) == f"{words} (char 0) (helper.py:3)\n"
    (tmp_path / "helper.py").write_text("good = 1\nbad = = 2\n")
    words = "error: plugin can't be imported: SyntaxError: invalid syntax (helper.py:2)\n"
    assert refusal(tmp_path) == words
    (tmp_path / "plugin.py").write_text(PLUGIN.replace('"shop"', '"a/b"'))
    assert refusal(tmp_path).endswith(" are wanted (plugin.py:5)\n")


def test_imports_inside_functions_are_named_with_their_lines(tmp_path):
    late = PLUGIN.replace("        return []", "        import json\n        return json")
    (tmp_path / "helper.py").write_text("def f():\n    from re import match\n    return match\n")
    (tmp_path / "plugin.py").write_text(f"import helper\n{late}")
    said = refusal(tmp_path)
    assert "fail in the server, where there are no files; move them to the top:\n" in said
    assert "  helper.py:2: from re import match\n  plugin.py:9: import json\n" in said


def test_of_what_componentize_py_prints_the_plugins_own_part_is_shown():
    printed = (
        'Traceback (most recent call last):\n  File "<string>", line 1\n'
        "AssertionError: Traceback:\n  import mmap\nNo module named 'mmap'\n\n\n"
        "Caused by:\n  No module\n\nStack backtrace:\n 0: x"
    )
    assert build.reason(printed) == "Traceback:\n  import mmap\nNo module named 'mmap'"
    assert build.reason("error: no space\n") == "error: no space"


def test_the_world_has_the_interfaces_of_the_hooks_and_no_others():
    class Both:
        def on_item(self):
            pass

        def on_event(self):
            pass

    interfaces = build.interfaces_of(Both)
    assert interfaces == ["tagger", "invalidator"]
    parts = "include lifecycle-part; include cache-part; include tagger-part;"
    parts = f"{parts} include invalidator-part;"
    assert build.world(interfaces).endswith(f"world built {{ {parts} }}\n")
    exports = "from wasmcached_plugin._guest import Lifecycle, Tagger, Invalidator\n"
    assert exports in build.app("shop", interfaces)
