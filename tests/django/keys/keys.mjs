// The keys of the library in JavaScript for the cases on standard input: node keys.mjs RELEASE

import { readFileSync } from 'node:fs';

import { Page, Release, absoluteUri, makeKey, makeTemplateFragmentKey } from
  '../../../guest-sdk/js/src/django.js';

const release = new Release(process.argv[2]);
const cases = JSON.parse(readFileSync(0, 'utf8'));
const inCache = (key, { cache_prefix: prefix, version }) => makeKey(key, prefix, version);

const fragments = cases.fragments.map((one) =>
  inCache(makeTemplateFragmentKey(release, one.name, one.vary_on), one),
);
const pages = cases.pages.map((one) => {
  const url = absoluteUri(one.origin, one.path, one.query);
  const page = new Page(url, {
    keyPrefix: one.key_prefix,
    language: one.language ?? undefined,
    timeZone: one.time_zone ?? undefined,
  });
  const key = page.key(release, one.method, one.headers);
  return { url, header: inCache(page.headerKey(), one), page: inCache(key, one) };
});
process.stdout.write(JSON.stringify({ fragments, pages }));
