// What the builder says before the slow part, and what it writes.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { plugin } from 'wasmcached-plugin';

import { entry, interfacesOf, world } from '../src/build.js';

const folder = mkdtempSync(join(tmpdir(), 'wasmcached-test-'));
after(() => rmSync(folder, { recursive: true }));

function command(...words) {
  const cli = fileURLToPath(new URL('../src/cli.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...words]);
  return { status, stdout: stdout.toString(), stderr: stderr.toString() };
}

function refusal(...words) {
  const { status, stdout, stderr } = command('build', folder, ...words);
  assert.deepEqual([status, stdout], [1, '']);
  return stderr;
}

test('a module that is not there is named', () => {
  const words = `error: no module \`plugin.js\` in ${folder}; --module names another one\n`;
  assert.equal(refusal(), words);
});

test('a module without a plugin is told what is wanted', () => {
  writeFileSync(join(folder, 'shop.mjs'), 'export default {};');
  const words = 'error: no plugin in shop.mjs; `export default plugin({...})` of this package is';
  assert.ok(refusal('--module', 'shop.mjs').startsWith(words));
});

test('an exception while importing is told in its own words', () => {
  writeFileSync(join(folder, 'broken.mjs'), "throw new RangeError('too much');");
  const words = "error: broken.mjs can't be imported: RangeError: too much (broken.mjs:1)\n";
  assert.equal(refusal('--module', 'broken.mjs'), words);
});

test("an exception while importing is told with the plugin's own line", () => {
  const broken = (text) => {
    writeFileSync(join(folder, 'helper.mjs'), text);
    writeFileSync(join(folder, 'broken.mjs'), "import './helper.mjs';\n");
    return refusal('--module', 'broken.mjs');
  };
  assert.match(broken('const good = 1;\nconst bad = ;\n'), /SyntaxError: .* \(helper\.mjs:2\)\n$/);
  const sdk = new URL('../src/index.js', import.meta.url);
  const given = broken(`import { plugin } from '${sdk}';\n\nplugin({ name: 'a/b' });\n`);
  assert.match(given, /TypeError: name is "a\/b"; .* \(helper\.mjs:3\)\n$/);
});

test('any other command is told how to build', () => {
  const { status, stderr } = command('bild');
  assert.equal(status, 2);
  assert.equal(stderr, 'usage: wasmcached-plugin build [DIR] [--module FILE] [--output FILE]\n');
});

test('the world has the interfaces of the hooks and no others', async () => {
  const nothing = () => [];
  const both = plugin({ name: 'b', onItem: nothing, itemPrefixes: ['a'], onEvent: nothing });
  const interfaces = interfacesOf(both);
  assert.deepEqual(interfaces, ['tagger', 'invalidator']);
  const parts =
    'include lifecycle-part; include cache-part; include tagger-part; include invalidator-part;';
  assert.ok((await world(interfaces)).endsWith(`world built { ${parts} }\n`));
  const written = entry('plugin.js', interfaces);
  assert.match(written, /export \{ lifecycle, tagger, invalidator \};/);
});
