// What `Key`, `Storage` and the actions are made of.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Entry, Key, Storage } from 'wasmcached-plugin';
import { hardPrefix, hardTag, matches, put, softPrefix, softUrl } from 'wasmcached-plugin';
import { get } from 'wasmcached-plugin/testing';

const keyOf = (url) => Key.of(get(url).toRequest([]));
const same = (key, text) => assert.equal(key.toString(), text);
const isDefault = (key) => key.toContract().tag === 'default';

test('untouched URLs keep their bytes and are the default', () => {
  for (const url of ['http://s/a', 'http://s/a?', 'http://s/a?b=1&b=2', 'http://s/a|b?c']) {
    same(keyOf(url), url);
    assert.ok(isDefault(keyOf(url)));
  }
});

test('a query that nothing is dropped from keeps its bytes', () => {
  const untouched = keyOf('http://s/a?b&&c=1').dropQuery('utm_*').sortQuery();
  same(untouched, 'http://s/a?b&&c=1');
  assert.ok(isDefault(untouched));
});

test('dropping every parameter drops the question mark', () => {
  const dropped = keyOf('http://s/a?utm_source=x&utm_medium=y').dropQuery('utm_*');
  assert.deepEqual(dropped.toContract(), { tag: 'custom', val: 'http://s/a' });
});

test('kept parameters may be sorted', () => {
  const kept = keyOf('http://s/a?page=2&x=1&lang=de').keepQuery('page', 'lang').sortQuery();
  same(kept, 'http://s/a?lang=de&page=2');
});

test("values can't forge other values", () => {
  const forged = keyOf('http://s/a').with('lang', 'de|tier=gold').with('tier', '-');
  same(forged, 'http://s/a|lang=de%7Ctier%3Dgold|tier=-');
  same(keyOf('http://s/a|lang=de').with('x', 1), 'http://s/a%7Clang=de|x=1');
  same(keyOf('http://s/a').with('x', '\x85 %'), 'http://s/a|x=%C2%85%20%25');
});

test('a missing value is refused because a client could send its name', () => {
  assert.throws(() => keyOf('http://s/a').with('tier', null), /tier is null; name a value/);
  assert.throws(() => keyOf('http://s/a').with('tier', undefined), /tier is undefined/);
});

test('a prefix comes first and the last one foremost', () => {
  same(keyOf('http://s/a').prefix('b:').prefix('a:'), 'a:b:http://s/a');
});

test('a bypass stays one', () => {
  const bypass = Key.bypass().with('a', 1).sortQuery();
  same(bypass, '(bypass)');
  assert.deepEqual(bypass.toContract(), { tag: 'bypass' });
});

test('an exact key takes values and prefixes like a URL', () => {
  const exact = Key.exactly('page:1');
  same(exact, 'page:1');
  assert.deepEqual(exact.toContract(), { tag: 'custom', val: 'page:1' });
  same(exact.with('lang', 'de'), 'page:1|lang=de');
  same(exact.with('a', 1).with('b', 2).prefix('x:'), 'x:page:1|a=1|b=2');
  same(Key.exactly('a|lang=de').with('x', 1), 'a%7Clang=de|x=1');
  same(Key.exactly('a|b'), 'a|b');
});

test('an exact key refuses what changes a query', () => {
  const changes = [(k) => k.dropQuery('a'), (k) => k.keepQuery('a'), (k) => k.sortQuery()];
  for (const change of changes) {
    const message = '"http://s/?a=1" is an exact key, which has no query; use Key.of';
    assert.throws(() => change(Key.exactly('http://s/?a=1')), { name: 'TypeError', message });
  }
});

test('a key is not changed by what is made from it', () => {
  const start = keyOf('http://s/a?b=1');
  start.with('x', 1);
  start.dropQuery('b');
  same(start, 'http://s/a?b=1');
});

test('patterns match whole texts, and pieces must not overlap', () => {
  const fit = [['utm_*', 'utm_source'], ['/a/*/c', '/a/b/c'], ['*', ''], ['ab*ba', 'abba']];
  for (const [pattern, text] of fit) assert.ok(matches(pattern, text), pattern);
  const unfit = [['utm_*', 'x_utm_'], ['page', 'pages'], ['aba*aba', 'aba'], ['ab*ba', 'aba']];
  for (const [pattern, text] of unfit) assert.ok(!matches(pattern, text), pattern);
  assert.ok(matches('*b*d*', 'abcde') && !matches('*d*b*', 'abcde'));
});

test('storage names what it is told and leaves its source alone', () => {
  const kept = Storage.keep();
  const tagged = kept.tag('a').tags(['b', 'c']).ttl(5).staleWhileRevalidate(6).staleIfError(7);
  const times = [tagged.ttlS, tagged.staleWhileRevalidateS, tagged.staleIfErrorS];
  assert.deepEqual([times, tagged.allTags], [[5, 6, 7], ['a', 'b', 'c']]);
  assert.deepEqual(kept, Storage.keep());
  assert.deepEqual([kept.store, Storage.skip().store], [true, false]);
});

test('values of the wrong type are refused where they are named', () => {
  const mistakes = [
    [() => hardTag(42), 'tag is 42; a text is wanted'],
    [() => Storage.keep().tag(undefined), 'tag is undefined; a text is wanted'],
    [() => Storage.keep().tags('abc'), 'tags are "abc"; a list of texts is wanted'],
    [() => Storage.keep().ttl(1.5), 'ttl is 1.5; a whole number is wanted'],
    [() => Storage.keep().ttl(5n), 'ttl is 5; a whole number is wanted'],
    [() => put('k', 5), 'value is 5; bytes or a text are wanted'],
    [() => softUrl(null), 'url is null; a text is wanted'],
    [() => hardTag('\ud800'), 'tag has half a surrogate pair'],
  ];
  for (const [mistake, message] of mistakes) {
    assert.throws(mistake, { name: 'TypeError', message });
  }
  const message = 'ttl is -1; limits are 0 and 2147483647';
  assert.throws(() => Storage.keep().ttl(-1), { name: 'RangeError', message });
});

test('options that there are not are refused', () => {
  const refused = [
    [() => put('k', 'v', { ttl: 5 }), 'put has no option ttl; there are ttlS, tags'],
    [() => new Storage({ ttl: 5 }), /^a Storage has no option ttl; there are store, ttlS/],
    [() => new Entry({ value: 'a', ttl: 5 }), /^an entry has no option ttl; there are value/],
  ];
  for (const [mistake, message] of refused) {
    assert.throws(mistake, { name: 'TypeError', message });
  }
  assert.deepEqual(put('k', 'v', { ttlS: null }), put('k', 'v'));
});

test('an empty prefix is refused in its own words', () => {
  for (const [make, name] of [[hardPrefix, 'hardEverything'], [softPrefix, 'softEverything']]) {
    const message = new RegExp(`^prefix is empty, .*; ${name}\\(\\) says that`);
    assert.throws(() => make(''), { name: 'RangeError', message });
    assert.equal(make('a').val.target.val, 'a');
  }
});

test('storage is not changed but by its methods', () => {
  const kept = Storage.keep().tag('a');
  const changes = [
    () => (kept.ttlS = '60'),
    () => (kept.store = undefined),
    () => kept.allTags.push(5),
    () => Object.assign(new Storage(), { allTags: 'abc' }),
    () => new Storage({ ttlS: '60' }),
  ];
  for (const change of changes) assert.throws(change, TypeError);
  assert.deepEqual([kept.ttlS, kept.store, kept.allTags], [null, true, ['a']]);
});

test('a value may be text or bytes', () => {
  const bytes = new TextEncoder().encode('a%ä😀\n');
  const options = { ttlS: 5, tags: ['t'] };
  assert.deepEqual(put('k', 'a%ä😀\n', options), put('k', bytes, options));
});
