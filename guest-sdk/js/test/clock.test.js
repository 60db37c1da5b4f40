// What there is no clock for, in a process of its own: nothing gives it back.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const SCRIPT = `
import { stopClock } from '${new URL('../src/clock.js', import.meta.url)}';
stopClock();
const asked = [() => new Date(), () => Date(), () => Date.now(), () => performance.now(),
  () => new (class extends Date {})()];
const said = asked.map((ask) => { try { return ask(); } catch (error) { return error.message; } });
const day = new Date(Date.UTC(2026, 0, 2));
const kept = [day.toISOString(), day instanceof Date, day.constructor === Date, Date.parse('1970')];
console.log(JSON.stringify([said, kept]));
`;

test('asking for now throws, and dates of a given time stay', () => {
  const given = ['--input-type=module', '-e', SCRIPT];
  const { stdout, stderr } = spawnSync(process.execPath, given);
  assert.equal(stderr.toString(), '');
  const now = ['new Date() of now', 'Date() of now', 'Date.now()', 'performance.now()'];
  now.push('new Date() of now');
  const said = now.map((what) => `${what}: plugins have no clock`);
  assert.deepEqual(JSON.parse(stdout), [said, ['2026-01-02T00:00:00.000Z', true, true, 0]]);
});
