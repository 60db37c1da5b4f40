// Runs oracle.py in CPython compiled to Wasm, for releases of Django that want a newer Python than
// this machine has: node oracle.mjs PYODIDE FOLDER... with the folders of packages in sys.path.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [pyodideFolder, ...packages] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(pyodideFolder, 'pyodide.mjs')));
const python = await loadPyodide({ indexURL: pyodideFolder });

packages.forEach((folder, n) => {
  python.FS.mkdirTree(`/packages/${n}`);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: folder }, `/packages/${n}`);
});
const script = join(dirname(fileURLToPath(import.meta.url)), 'oracle.py');
python.globals.set('packages', python.toPy(packages.map((_, n) => `/packages/${n}`)));
python.runPython('import sys\nsys.path[:0] = packages\n__name__ = "oracle"');
python.runPython(readFileSync(script, 'utf8'));
python.globals.set('cases', readFileSync(0, 'utf8'));
process.stdout.write(python.runPython('json.dumps(answer(json.loads(cases)))'));
