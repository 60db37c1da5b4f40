// What a plugin's console writes.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { consoleOf, inspected } from '../src/console.js';

test('values are shown with what is in them, and none fails', () => {
  const circle = { name: 'c' };
  circle.self = circle;
  const twice = { a: 1 };
  const hostile = { toJSON() { throw new Error('no'); } };
  const shown = [
    ['a text', 'a text'],
    [{ a: [1, null, undefined], b: NaN }, '{"a":[1,null,"undefined"],"b":"NaN"}'],
    [[twice, twice], '[{"a":1},{"a":1}]'],
    [circle, '{"name":"c","self":"[circular]"}'],
    [new Map([['k', new Set([1])]]), '[["k",[1]]]'],
    [new RangeError('far'), 'RangeError: far'],
    [10n, '10n'],
    [Symbol('s'), 'Symbol(s)'],
    [null, 'null'],
    [undefined, 'undefined'],
    [hostile, '(object: no)'],
    [Object.create(null), '{}'],
  ];
  for (const [value, text] of shown) assert.equal(inspected(value), text);
});

test('what consoles have elsewhere is there', () => {
  const lines = [];
  const console = consoleOf((level, line) => lines.push([level, line]));
  console.log('a', { b: 1 }, [2]);
  console.assert(true, 'silent');
  console.assert(false, 'said');
  console.dir({ d: 1 });
  console.table([1]);
  console.time('t');
  console.timeEnd('t');
  console.count();
  console.count();
  console.group('g');
  console.groupEnd();
  assert.deepEqual(lines, [
    ['info', 'a {"b":1} [2]'],
    ['error', 'Assertion failed said'],
    ['info', '{"d":1}'],
    ['info', '[1]'],
    ['warn', 't: plugins have no clock'],
    ['info', 'default: 1'],
    ['info', 'default: 2'],
    ['info', 'g'],
  ]);
  console.trace('here');
  assert.match(lines.at(-1)[1], /^Trace: here \n[^]*console\.test\.js/);
  const others = ['clear', 'countReset', 'dirxml', 'groupCollapsed', 'timeLog', 'warn', 'debug'];
  for (const name of others) console[name]('x');
});
