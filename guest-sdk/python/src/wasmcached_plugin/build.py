"""Makes the component of a plugin: finds it, writes its world and exports, runs componentize-py.

The plugin is imported natively first, so that mistakes are told in its own words and before the
slow part. The world names only the interfaces of the hooks that the class has: the server asks for
no others. Everything in between is written into a temporary folder.
"""

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import sysconfig
import tempfile
import traceback
from pathlib import Path
from typing import Iterator, List, Optional

from . import hooks

_PARTS = {
    "keyer": ("cache_key",),
    "tagger": ("on_store", "on_item"),
    "invalidator": ("on_event",),
}

_PACKAGE = Path(__file__).resolve().parent

# Its command starts with whatever interpreter comes first on the path, so this one is named.
_COMPONENTIZE = (
    "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; script()"
)


class BuildError(Exception):
    """Why there is no component, in words for the plugin's author."""


def build(folder: Path, module: str = "plugin", output: Optional[Path] = None) -> Path:
    """The path of the component of the plugin in this module of the folder: `output`, or
    `NAME.wasm` in the folder."""
    folder = folder.resolve()
    cls = _find(folder, module)
    _check_imports(folder)
    if importlib.util.find_spec("componentize_py") is None:
        raise BuildError("componentize-py is missing; `pip install 'wasmcached-plugin[build]'`")
    output = (output or folder / f"{hooks.info_of(cls).name}.wasm").resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        written = Path(temporary)
        interfaces = interfaces_of(cls)
        (written / "wasmcached.wit").write_text(world(interfaces), encoding="utf-8")
        (written / "wasmcached_app.py").write_text(app(module, interfaces), encoding="utf-8")
        made = written / "component.wasm"
        _componentize(folder, written, made)
        output.write_bytes(made.read_bytes())
    return output


def interfaces_of(cls: type) -> List[str]:
    """What the component exports beside `lifecycle`."""
    return [part for part, names in _PARTS.items() if any(hasattr(cls, name) for name in names)]


def world(interfaces: List[str]) -> str:
    """The contract with a world of these interfaces, and of what plugins may import."""
    contract = (_PACKAGE / "wasmcached.wit").read_text(encoding="utf-8")
    parts = "".join(f" include {part}-part;" for part in ["lifecycle", "cache", *interfaces])
    return f"{contract}\nworld built {{{parts} }}\n"


def app(module: str, interfaces: List[str]) -> str:
    """The module that componentize-py takes the exports from."""
    exports = ", ".join(part.capitalize() for part in ["lifecycle", *interfaces])
    return (
        f"from wasmcached_plugin import _guest\n"
        f"import {module}\n"
        f"from wasmcached_plugin._guest import {exports}\n"
        f"_guest.serve()\n"
    )


def _find(folder: Path, module: str) -> type:
    if not folder.is_dir():
        raise BuildError(f"{folder} is no folder")
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            text = f"{module} can't be imported: {error}{_place(error, folder)}"
            raise BuildError(text) from error
        raise BuildError(f"no module `{module}` in {folder}; --module names another one") from None
    except Exception as error:
        said = error.msg if isinstance(error, SyntaxError) else error
        text = f"{module} can't be imported: {type(error).__name__}: {said}"
        text += _place(error, folder)
        raise BuildError(text) from error
    found = hooks.plugins
    if not found:
        raise BuildError(f"no plugin in `{module}`; a class under @plugin(name=...) is wanted")
    if len(found) > 1:
        names = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in found)
        raise BuildError(f"{len(found)} plugins, of which one can be built: {names}")
    return found[0]


def _place(error: BaseException, folder: Path) -> str:
    """The last of the plugin's own lines that led to it: ` (plugin.py:3)`."""
    lines = [
        (frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        lines.append((error.filename, error.lineno or 0))
    own = [(Path(name).resolve(), line) for name, line in lines if not name.startswith("<")]
    own = [(path, line) for path, line in own if _is_own(path, folder)]
    return f" ({own[-1][0].relative_to(folder)}:{own[-1][1]})" if own else ""


def _check_imports(folder: Path) -> None:
    """An import inside a function looks for a file when the function runs, and in the server there
    are none."""
    late = []
    for path in sorted(_own_sources(folder)):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for function in ast.walk(tree):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for node in ast.walk(function):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    late.append(f"{path.relative_to(folder)}:{node.lineno}: {ast.unparse(node)}")
    if late:
        lines = "\n".join(f"  {line}" for line in sorted(set(late)))
        reason = "imports inside functions fail in the server, where there are no files"
        raise BuildError(f"{reason}; move them to the top:\n{lines}")


def _own_sources(folder: Path) -> Iterator[Path]:
    """The imported modules that belong to the plugin itself."""
    for loaded in list(sys.modules.values()):
        name = getattr(loaded, "__file__", None)
        if not name or not name.endswith(".py"):
            continue
        path = Path(name).resolve()
        if _is_own(path, folder):
            yield path


def _is_own(path: Path, folder: Path) -> bool:
    elsewhere = [_PACKAGE, *(Path(other).resolve() for other in [*_installed(), sys.prefix])]
    return folder in path.parents and not any(other in path.parents for other in elsewhere)


def _installed() -> List[str]:
    paths = sysconfig.get_paths()
    return list(dict.fromkeys([paths["purelib"], paths["platlib"]]))


def _componentize(folder: Path, written: Path, made: Path) -> None:
    search = [str(written), str(folder), str(_PACKAGE.parent), *_installed()]
    command = [sys.executable, "-c", _COMPONENTIZE, "--wit-path", str(written / "wasmcached.wit")]
    command += ["--world", "built", "componentize", "--stub-wasi", "--output", str(made)]
    for path in dict.fromkeys(search):
        command += ["--python-path", path]
    done = subprocess.run(
        [*command, "wasmcached_app"],
        cwd=written,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not made.is_file():
        raise BuildError(f"componentize-py made no component:\n{reason(done.stdout)}")


def reason(printed: str) -> str:
    """What componentize-py says about the plugin, without what it says about itself."""
    about_plugin = printed.partition("AssertionError: ")[2] or printed
    return re.split(r"\n\s*(?:Caused by:|Stack backtrace:)", about_plugin)[0].strip()
