#!/usr/bin/env node
/**
 * `wasmcached-plugin build [DIR] [--module FILE] [--output FILE]`.
 *
 * The last line printed is the component's path; mistakes go to standard error with exit code 1.
 */

import { parseArgs } from 'node:util';

import { BuildError, build } from './build.js';

const USAGE = 'usage: wasmcached-plugin build [DIR] [--module FILE] [--output FILE]';

function given() {
  const options = { module: { type: 'string' }, output: { type: 'string' } };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const [command, folder = '.', ...more] = positionals;
    return command === 'build' && more.length === 0 ? { folder, values } : null;
  } catch {
    return null;
  }
}

const asked = given();
if (asked === null) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  try {
    console.log(await build(asked.folder, asked.values));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  }
}
