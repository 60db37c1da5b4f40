import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Storage, hardTag } from 'wasmcached-plugin';
import { actions, event, get, key, storage } from 'wasmcached-plugin/testing';

import shop from './plugin.js';

test('a page is kept per language, whatever the campaign', () => {
  const page = get('https://shop/a?b=2&utm_source=mail&a=1').header('accept-language', 'de-AT');
  assert.equal(key(shop, page), 'http://shop/a?a=1&b=2|lang=de');
  assert.equal(key(shop, get('https://shop/a')), 'http://shop/a|lang=en');
});

test('the page of a product carries its tag', () => {
  const tagged = Storage.keep().tags(['model:shop.product', 'product:red-boots']);
  assert.deepEqual(storage(shop, get('https://shop/products/red-boots/')), tagged);
  assert.deepEqual(storage(shop, get('https://shop/about/')), Storage.keep());
});

test('a renamed product changes both pages', () => {
  const renamed = event('shop.product').field('before.slug', 'k2').field('after.slug', 'k-2');
  assert.deepEqual(actions(shop, renamed), [hardTag('product:k2'), hardTag('product:k-2')]);
  assert.deepEqual(actions(shop, event('auth.user')), []);
});

test('an event that names no product is an error and not a smaller purge', () => {
  assert.throws(() => actions(shop, event('shop.product').id(5)), /no slug/);
});
