// The line that is named for an exception.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Storage } from 'wasmcached-plugin';

import { placeOf } from '../src/place.js';

test('a refused value is named where the plugin gave it', () => {
  let here;
  try {
    here = new Error(); Storage.keep().ttl(1.5);
  } catch (error) {
    assert.equal(placeOf(error), placeOf(here));
    assert.match(placeOf(error), /place\.test\.js:13$/);
  }
  assert.ok(here);
});

test('a wrong answer is named by the hook that gave it', () => {
  const error = { stack: '    at map (native)' };
  assert.equal(placeOf(error, { fileName: '/plugin.js', lineNumber: 7 }), '/plugin.js:7');
  assert.equal(placeOf('a text', () => {}), '?');
});
