// What `plugin` takes, and how hooks are asked.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Key, Storage, UndeclaredInput, cookie, hardTag, header } from 'wasmcached-plugin';
import { Event, cache, hardKey, plugin, put, queryParam } from 'wasmcached-plugin';
import * as testing from 'wasmcached-plugin/testing';

const { actions, configured, event, get, itemStorage, key, response, storage } = testing;
const { withCached } = testing;

const shop = plugin({
  name: 'shop',
  keyEpoch: 3,
  inputs: [header('Accept-Language'), cookie('tier'), queryParam('page')],
  itemPrefixes: ['frag:'],

  configure(config) {
    for (const [name, value] of Object.entries(config)) {
      if (name !== 'currency') throw new Error(`no setting ${name}`);
      this.currency = value;
    }
  },

  cacheKey(request) {
    if (request.path === '/undeclared') return Key.exactly(String(request.cookie('session')));
    return Key.of(request)
      .keepQuery()
      .with('lang', request.header('accept-language') ?? '-')
      .with('tier', request.cookie('tier') ?? '-')
      .with('page', request.queryParam('page') ?? '-')
      .with('in', this.currency ?? 'EUR');
  },

  onStore: (key, request, response) =>
    Storage.keep().tag(key).tags(response.headerList('x-models')),

  onItem: (key, flags, bodySize) => Storage.keep().tag(`${key}:${flags}:${bodySize}`),

  *onEvent(event) {
    const sku = event.text('after.lines.0.sku');
    if (sku !== null) yield hardTag(sku);
  },
});

const eventful = (answer) => plugin({ name: 'eventful', onEvent: () => answer });

test('declared inputs are seen whatever the case of fields', () => {
  const request = get('https://s/a?x=1&page=2').header('accept-LANGUAGE', 'de');
  const golden = request.cookie('tier', 'gold');
  assert.equal(key(shop, golden), 'http://s/a|lang=de|tier=gold|page=2|in=EUR');
  assert.equal(key(shop, get('https://s')), 'http://s/|lang=-|tier=-|page=-|in=EUR');
});

test('reading what is not declared throws in tests', () => {
  const request = get('https://s/undeclared').cookie('session', '1');
  const message = 'cookie "session" is not declared; add cookie(\'session\') to inputs';
  assert.throws(() => key(shop, request), { name: 'UndeclaredInput', message });
  assert.ok(new UndeclaredInput() instanceof Error);
});

test('settings reach one instance, and a plugin without any refuses them', () => {
  const dollars = configured(shop, { currency: 'USD' });
  assert.match(key(dollars, get('https://s/')), /in=USD$/);
  assert.match(key(shop, get('https://s/')), /in=EUR$/);
  assert.throws(() => configured(shop, { colour: 'red' }), /no setting colour/);
  const message = 'unknown setting `colour`; there are none';
  assert.throws(() => configured(eventful([]), { colour: 'red' }), { message });
});

test('the server is told what the plugin says of itself', () => {
  assert.deepEqual(shop.manifest, {
    name: 'shop',
    version: '0.1.0',
    keyEpoch: 3,
    pure: true,
    inputs: [header('accept-language'), cookie('tier'), queryParam('page')],
    itemPrefixes: ['frag:'],
  });
});

test('pages and items are tagged by what is seen of them', () => {
  const answered = response(200).header('X-Models', 'a, b').header('x-models', ',c ');
  const { allTags } = storage(shop, get('https://s/'), answered);
  assert.deepEqual(allTags, ['http://s/|lang=-|tier=-|page=-|in=EUR', 'a', 'b', 'c']);
  assert.equal(answered.toResponse().header('x-MODELS'), 'a, b');
  assert.deepEqual(itemStorage(shop, 'frag:1', 2, 3).allTags, ['frag:1:2:3']);
});

test('payloads are looked up by path', () => {
  const bought = event('shop.order').id(5).field('after.lines', [{ sku: 17 }]).changed('lines');
  assert.deepEqual(actions(shop, bought), [hardTag('17')]);
  const seen = bought.operation('created').toEvent();
  assert.deepEqual([seen.objectId, seen.operation], ['5', 'created']);
  assert.ok(seen.changed('lines') && !seen.changed('total'));
  for (const path of ['after.missing', 'after.lines.1', 'after.lines.length', 'after.toString']) {
    assert.equal(seen.field(path), null, path);
  }
  assert.equal(seen.text('after.lines'), null);
  assert.deepEqual(actions(shop, event('shop.order')), []);
});

test('an integer that is not exact is an error and not another object', () => {
  const payload = '{"id": 9007199254740993, "half": 0.5, "yes": true}';
  const { id, source, model } = { id: '1', source: 's', model: 'm' };
  const parts = { id, source, model, operation: 'updated', changedFields: [], occurredAt: '' };
  const seen = new Event({ ...parts, payload });
  const message = 'id is an integer above 2^53; send it as text';
  assert.throws(() => seen.text('id'), { name: 'RangeError', message });
  assert.deepEqual([seen.text('half'), seen.text('yes')], ['0.5', 'true']);
  assert.equal(new Event({ ...parts, payload: '{' }).payload, null);
});

test('an answer that is no list of actions is an error', () => {
  for (const answer of [undefined, 'tag', hardTag('a'), ['tag'], [null]]) {
    assert.throws(() => actions(eventful(answer), event('m')), /^TypeError: onEvent returned /);
  }
});

test('a hook that waits is an error', () => {
  const slow = plugin({ name: 'slow', cacheKey: async (request) => Key.of(request) });
  const message = 'cacheKey returned a promise; a Key is wanted';
  assert.throws(() => key(slow, get('https://s/a')), { name: 'TypeError', message });
});

test("hooks that a plugin leaves out have the server's answers", () => {
  assert.equal(key(eventful([]), get('https://s/a?b')), 'http://s/a?b');
  assert.deepEqual(storage(eventful([]), get('https://s/a')), Storage.keep());
});

test('what can not be a plugin is refused', () => {
  const onEvent = () => [];
  const refused = [
    [{ name: 'x' }, 'the plugin has no hook; there are cacheKey, onStore, onItem, onEvent'],
    [{ name: 'x', onEvents: onEvent }, 'onEvents is neither a hook nor known; hooks are cacheKey,'],
    [{ name: 'x', onEvent: 5 }, 'onEvent is 5; a function is wanted'],
    [{ name: 'x', onItem: onEvent }, 'the plugin has onItem and no itemPrefixes'],
    [{ name: 'x', onEvent, itemPrefixes: ['a'] }, 'the plugin has itemPrefixes and no onItem'],
    [{ name: 'x', onEvent, inputs: ['cookie'] }, 'input "cookie" is none'],
    [{ name: 'a/b', onEvent }, 'name is "a/b"; letters, digits,'],
  ];
  for (const [definition, words] of refused) {
    const says = (error) => error instanceof TypeError && error.message.startsWith(words);
    assert.throws(() => plugin(definition), says, words);
  }
});

test('a URL without a host is no request', () => {
  assert.throws(() => get('/a'), /"\/a" is no URL with a host/);
});

const queue = plugin({
  name: 'queue',
  cacheKey: (request) => Key.exactly(cache.tags(request.path).join()),
  onStore: (key, request) => Storage.keep().tags(cache.tags(request.path)),
  onEvent(event) {
    const found = cache.get('list');
    if (found === null) return [hardKey('list')];
    return [put('list', `${found.text()}${event.text('after.text')}`, { ttlS: found.ttlS })];
  },
});

test('look-ups find what the test has put there, and nothing later', () => {
  const added = event('queue.message').field('after.text', 'b');
  const entries = { list: { value: 'ä', ttlS: 60, tags: ['queue'] } };
  assert.deepEqual(withCached(entries, () => actions(queue, added)), [
    put('list', 'äb', { ttlS: 60 }),
  ]);
  assert.deepEqual(withCached(entries, () => cache.tags('list')), ['queue']);
  assert.deepEqual(actions(queue, added), [hardKey('list')]);
  assert.deepEqual(cache.tags('list'), []);
});

test('a key that looks something up throws', () => {
  const message = 'look-ups are for onStore, onItem and onEvent';
  assert.throws(() => key(queue, get('https://s/a')), { name: 'LookUpRefused', message });
  assert.equal(cache.get('a'), null, 'the test itself may look');
});
