// What an application does through memjs, which speaks the binary protocol alone:
// ADDRESS [USER PASSWORD]. The module is looked for as the environment's NODE_PATH says.

'use strict';

const assert = require('node:assert');
const { Client } = require('memjs');

function check(seen, expected, what) {
  assert.deepStrictEqual(seen, expected, what);
  console.log(`${what}: as expected`);
}

async function single(client) {
  check((await client.get('absent')).value, null, 'a miss');
  check(await client.set('text', 'héllo', { expires: 100 }), true, 'set');
  check((await client.get('text')).value.toString(), 'héllo', 'text');
  check(await client.add('text', 'again', {}), false, 'add of a present key');
  check(await client.replace('absent', 'x', {}), false, 'replace of an absent key');
  check(await client.append('text', '!'), true, 'append');
  check((await client.get('text')).value.toString(), 'héllo!', 'the whole');
  check(await client.touch('text', 100), true, 'touch');
  check(await client.touch('absent', 100), false, 'touch of an absent key');
  check((await client.increment('count', 3, { initial: 9 })).value, 9, 'increment creates');
  check((await client.increment('count', 3, { initial: 9 })).value, 12, 'increment');
  check((await client.decrement('count', 20, {})).value, 0, 'decrement stops at zero');
  const large = Buffer.alloc(1_000_000, 'x');
  check(await client.set('large', large, {}), true, 'set of a large value');
  check(large.equals((await client.get('large')).value), true, 'a large value');
  check(await client.delete('text'), true, 'delete');
  check(await client.delete('text'), false, 'delete of an absent key');
}

async function many(client) {
  const keys = Array.from({ length: 200 }, (_, number) => `key${number}`);
  await Promise.all(keys.map((key) => client.set(key, key.toUpperCase(), {})));
  const found = await Promise.all(keys.map((key) => client.get(key)));
  const values = found.map((one) => one.value.toString());
  check(values, keys.map((key) => key.toUpperCase()), 'many at once');
}

function statistics(client) {
  return new Promise((resolve, reject) => {
    client.stats((error, _server, stats) => (error ? reject(error) : resolve(stats)));
  });
}

async function main() {
  const [address, username, password] = process.argv.slice(2);
  const options = { username, password, timeout: 30, retries: 0, logger: { log() {} } };
  const client = Client.create(address, options);
  await single(client);
  await many(client);
  check('curr_items' in (await statistics(client)), true, 'curr_items in stats');
  await client.flush();
  check((await client.get('count')).value, null, 'a value after flush');
  client.close();
  if (username) {
    const impostor = Client.create(address, { ...options, password: 'wrong' });
    await assert.rejects(impostor.set('stolen', 'x', {}));
    console.log('a wrong password: refused');
    impostor.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
