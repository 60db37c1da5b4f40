// Keys that real releases of Django computed, written down once.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import {
  Page,
  Release,
  absoluteUri,
  makeKey,
  makeTemplateFragmentKey,
  templateFragmentPrefix,
} from 'wasmcached-plugin/django';
import { md5 } from '../src/md5.js';

const URL = 'http://ex.org:8000/p/%C3%A9/?b=2&a=1';
const URL_HASH = '0e9ec8337ea7cd700e21be79aa4f6d1a';
const NOTHING = 'd41d8cd98f00b204e9800998ecf8427e';

test('hashes are those of OpenSSL at every length around a block', () => {
  for (let length = 0; length < 200; length += 1) {
    const bytes = Uint8Array.from({ length }, (_, n) => (n * 7 + length) % 256);
    assert.equal(md5(bytes), createHash('md5').update(bytes).digest('hex'), `${length} bytes`);
  }
});

test('keys have prefix and version before them', () => {
  assert.equal(makeKey('a'), ':1:a');
  assert.equal(makeKey('a b', 'shop', 12), 'shop:12:a b');
});

test('fragments have the keys of their release', () => {
  const before = ['6e2b1025e4447581ec8be84e7c14680a', '853ae90f0351324bd73ea615e6487517'];
  const since = ['305fc879f852df3476f3300f5fbe076d', '3b59035bd3b34e30981dc990dd93acbb'];
  for (const [name, [sidebar, empty]] of [['4.2', before], ['6.0.10', before], ['6.1', since]]) {
    const hashOf = (varyOn) => {
      const key = makeTemplateFragmentKey(new Release(name), 'sidebar', varyOn);
      assert.ok(key.startsWith(templateFragmentPrefix('sidebar')));
      return key.split('.').at(-1);
    };
    assert.deepEqual([hashOf([7, 'en']), hashOf(['']), hashOf([])], [sidebar, empty, NOTHING]);
  }
});

test('pages have the keys of their release', () => {
  const page = new Page(URL, { language: 'en-us', timeZone: 'Europe/Paris' });
  const header = `views.decorators.cache.cache_header..${URL_HASH}.en-us.Europe/Paris`;
  assert.equal(page.headerKey(), header);
  const hashes = {
    '4.2.30': '73bbe012edfb61eca43444d61fefe937',
    '5.2.18': '73bbe012edfb61eca43444d61fefe937',
    '6.0.9': '73bbe012edfb61eca43444d61fefe937',
    '5.2.19': '35f594baf63889997501d1f3294e2d6b',
    '6.0.10': '35f594baf63889997501d1f3294e2d6b',
    '6.1.3': '3772ceb7939acad099dd85f0b1b95e30',
  };
  const vary = { X: null, Cookie: 's=1', 'Accept-Language': 'de' };
  for (const [name, hash] of Object.entries(hashes)) {
    const key = page.key(new Release(name), 'GET', vary);
    const place = 'views.decorators.cache.cache_page..GET';
    assert.equal(key, `${place}.${URL_HASH}.${hash}.en-us.Europe/Paris`, name);
    assert.ok(key.startsWith(page.prefix('GET')));
  }
});

test('what a site does not use is not in its keys', () => {
  const page = new Page(URL, { keyPrefix: 'shop' });
  assert.equal(page.headerKey(), `views.decorators.cache.cache_header.shop.${URL_HASH}`);
  const key = page.key(new Release('6.1'), 'HEAD', {});
  const place = 'views.decorators.cache.cache_page.shop.HEAD';
  assert.equal(key, `${place}.${URL_HASH}.${NOTHING}`);
  assert.notEqual(page.key(new Release('6.1'), 'HEAD', { 'Accept-Language': 'de' }), key);
});

test('a release that is not exact enough is refused', () => {
  const refusals = {
    5.2: '"5.2" lacks its third number: keys changed in 5.2.19',
    '6.0': '"6.0" lacks its third number: keys changed in 6.0.10',
    '3.2.25': '"3.2.25": the keys of Django before 4.2 are unknown',
    '6.1rc1': '"6.1rc1" is no release of Django like 5.2.19',
  };
  for (const [name, message] of Object.entries(refusals)) {
    assert.throws(() => new Release(name), { name: 'RangeError', message });
  }
});

test('addresses are encoded as Django encodes them', () => {
  const encoded = 'http://s/a%20b%3Bc%3Dd%3Fe%23f/%2541/~x';
  assert.equal(absoluteUri('http://s', '/a b;c=d?e#f/%41/~x'), encoded);
  assert.equal(absoluteUri('http://s', '/', 'q=a b;é&x=%41'), 'http://s/?q=a%20b;%C3%A9&x=%41');
});
