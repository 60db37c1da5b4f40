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

test('a plugin sees of a request what the server would show it', () => {
  const request = get('https://s/?page=%32&x=1&x=2')
    .header('accept-language', 'de')
    .header('Accept-Language', 'en')
    .header('cookie', 'a=1; a=2; tier= gold ');
  assert.equal(key(shop, request), 'http://s/|lang=de,%20en|tier=gold|page=%2532|in=EUR');
  const cookies = get('https://s/').cookie('a', '1').cookie('b', '2');
  assert.equal(cookies.toRequest([header('cookie')]).header('Cookie'), 'a=1; b=2');
});

test('what the server would not ask a plugin about throws in tests', () => {
  const unclear = [
    get('https://s/?page=1&page=2'),
    get('https://s/?p%61ge=1'),
    get('https://s/').cookie('tier', 'a').cookie('tier', 'b'),
    get('https://s/').header('cookie', 'tier=a').cookie('tier', 'a'),
    get('https://s/').header('cookie', 'tier'),
  ];
  for (const request of unclear) {
    const message = /policy-input-unclear/;
    assert.throws(() => key(shop, request), { name: 'UnclearInput', message });
  }
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

const ofPayload = (payload) => {
  const { id, source, model } = { id: '1', source: 's', model: 'm' };
  const parts = { id, source, model, operation: 'updated', changedFields: [], occurredAt: '' };
  return new Event({ ...parts, payload });
};

test('the text of a number has the digits that were sent', () => {
  const numbers = ['18446744073709551616', '12345678901234567890123', '1.10', '1e2', '1E+2', '-0'];
  numbers.push('9007199254740993', '-0.0', '0.1', '1234567890.12345678901234567890');
  numbers.push('9'.repeat(500));
  for (const number of numbers) {
    const text = '"\\\\\\"1.10"';
    const seen = ofPayload(`{${text}: [${text}, 7], "pk": ${number}, "list": [true,${number}]}`);
    assert.deepEqual([seen.text('pk'), seen.text('list.1')], [number, number]);
    assert.deepEqual(seen.payload[JSON.parse(text)], [JSON.parse(text), 7]);
  }
  const big = event('m').field('a.big', 2n ** 64n).toEvent();
  assert.equal(big.text('a.big'), '18446744073709551616');
});

test('numbers are still numbers, and texts and truth values texts', () => {
  const seen = ofPayload('{"half": 0.50, "yes": true, "text": "1.10", "none": null, "list": [1]}');
  assert.equal(seen.field('half'), 0.5);
  const names = ['half', 'yes', 'text', 'none', 'list', 'list.length'];
  const texts = names.map((name) => seen.text(name));
  assert.deepEqual(texts, ['0.50', 'true', '1.10', null, null, null]);
  assert.equal(ofPayload('{').payload, null);
});

test('an answer that is no list of actions is an error', () => {
  for (const answer of [undefined, 'tag', hardTag('a'), ['tag'], [null]]) {
    assert.throws(() => actions(eventful(answer), event('m')), /^TypeError: onEvent returned /);
  }
});

test('what a generator returns in the end is refused', () => {
  const mixed = plugin({
    name: 'mixed',
    *onEvent(event) {
      if (event.text('slug') === null) return [hardTag('pages')];
      yield hardTag(event.text('slug'));
    },
  });
  assert.deepEqual(actions(mixed, event('m').field('slug', 'a')), [hardTag('a')]);
  const message = /^onEvent returned .*"pages".* only what it yields counts/;
  assert.throws(() => actions(mixed, event('m')), { name: 'TypeError', message });
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
