/**
 * Makes the component of a plugin: finds it, writes its world and its exports, runs
 * componentize-qjs.
 *
 * The plugin is imported natively first, so that mistakes are told in its own words and before the
 * slow part. The world names only the interfaces of the hooks that the plugin has: the server asks
 * for no others.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { Plugin } from './plugin.js';

const PARTS = { keyer: ['cacheKey'], tagger: ['onStore', 'onItem'], invalidator: ['onEvent'] };

/** Why there is no component, in words for the plugin's author. */
export class BuildError extends Error {}

/**
 * The path of the component of the plugin in this module of the folder: `output`, or `NAME.wasm` in
 * the folder.
 *
 * @param {string} folder
 * @param {{ module?: string, output?: string }} [options]
 * @returns {Promise<string>}
 */
export async function build(folder, { module = 'plugin.js', output } = {}) {
  const root = resolve(folder);
  const plugin = await find(root, module);
  const componentize = await componentizer(root);
  const file = resolve(output ?? join(root, `${plugin.manifest.name}.wasm`));
  const interfaces = interfacesOf(plugin);
  const temporary = await mkdtemp(join(tmpdir(), 'wasmcached-'));
  // Imports are found from the entry upwards, so it has to lie in the project.
  const cache = join(root, 'node_modules', '.wasmcached-plugin');
  await mkdir(cache, { recursive: true });
  const jsPath = join(cache, 'entry.js');
  const jsSource = entry(module, interfaces);
  try {
    const witPath = join(temporary, 'wasmcached.wit');
    await writeFile(witPath, await world(interfaces));
    await writeFile(jsPath, jsSource);
    const given = { witPath, world: 'built', jsSource, jsPath, moduleRoot: root };
    const { component } = await componentize({ ...given, sync: true, stubWasi: true });
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, component);
  } catch (error) {
    const said = error.message.replace(/^[:\s]+/, '').trim();
    throw new BuildError(`componentize-qjs made no component: ${said}`);
  } finally {
    await rm(temporary, { recursive: true });
    await rm(cache, { recursive: true });
  }
  return file;
}

/** What the component exports beside `lifecycle`. */
export function interfacesOf(plugin) {
  const isThere = ([, hooks]) => hooks.some((hook) => plugin.has(hook));
  return Object.entries(PARTS).filter(isThere).map(([part]) => part);
}

/** The contract with a world of these interfaces, and of what plugins may import. */
export async function world(interfaces) {
  const contract = await readFile(new URL('wasmcached.wit', import.meta.url), 'utf8');
  const parts = ['lifecycle', 'cache', ...interfaces].map((part) => ` include ${part}-part;`);
  return `${contract}\nworld built {${parts.join('')} }\n`;
}

/** The module that componentize-qjs takes the exports from. */
export function entry(module, interfaces) {
  const names = ['lifecycle', ...interfaces].join(', ');
  return [
    `import { serve, ${names} } from 'wasmcached-plugin/guest';`,
    `import plugin from ${JSON.stringify(`../../${module}`)};`,
    'serve(plugin);',
    `export { ${names} };\n`,
  ].join('\n');
}

async function find(root, module) {
  const path = join(root, module);
  if (!existsSync(path)) {
    throw new BuildError(`no module \`${module}\` in ${root}; --module names another one`);
  }
  let found;
  try {
    found = await import(pathToFileURL(path));
  } catch (error) {
    const said = `${error?.name}: ${error?.message}`;
    throw new BuildError(`${module} can't be imported: ${said}${placeIn(root, path, error)}`);
  }
  if (!(found.default instanceof Plugin)) {
    const wanted = '`export default plugin({...})` of this package is wanted';
    throw new BuildError(`no plugin in ${module}; ${wanted} (${fileURLToPath(import.meta.url)})`);
  }
  return found.default;
}

/** The innermost of the plugin's own lines, where there is one: ` (plugin.js:3)`. */
function placeIn(root, module, error) {
  const sdk = new URL('.', import.meta.url).href;
  const told = error instanceof SyntaxError ? uncaught(module) : String(error?.stack);
  const places = told.matchAll(/(file:\/\/[^\s()]+?):(\d+)(?=[:)\s]|$)/gm);
  for (const [, file, line] of places) {
    const path = relative(root, fileURLToPath(file));
    const isOwn = !path.startsWith('..') && !path.startsWith('node_modules');
    if (isOwn && !file.startsWith(sdk)) return ` (${path}:${line})`;
  }
  return '';
}

/** What Node prints of it: the place of a syntax error is told nowhere else. */
function uncaught(module) {
  const script = `import ${JSON.stringify(pathToFileURL(module).href)};`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', script]).stderr.toString();
}

async function componentizer(root) {
  let path;
  try {
    path = createRequire(join(root, 'package.json')).resolve('componentize-qjs');
  } catch {
    throw new BuildError('componentize-qjs is missing; `npm install --save-dev componentize-qjs`');
  }
  const { componentize } = await import(pathToFileURL(path));
  return componentize;
}
