// A key of its inputs, as authors write them.
import { Key, header, plugin } from 'wasmcached-plugin';

const NAMES = ['x-1', 'x-2', 'x-3', 'x-4', 'x-5', 'x-6'];

export default plugin({
  name: 'keys',
  inputs: NAMES.map((name) => header(name)),

  cacheKey(request) {
    let key = Key.of(request);
    for (const name of NAMES) {
      const value = request.header(name);
      if (value !== null) key = key.with(name, value);
    }
    return key;
  },
});
