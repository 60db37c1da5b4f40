/**
 * The clock that the server does not have: a call would end the instance without a word of what
 * it was. Only `guest` takes it away, inside the component, once the plugin is loaded: until then
 * there is a builder's machine, which has one.
 */

function refusing(what) {
  return () => {
    throw new Error(`${what}: plugins have no clock`);
  };
}

/** Has `Date` of now, `Date.now` and `performance.now` throw; dates of a given time stay. */
export function stopClock() {
  const Real = globalThis.Date;
  const [ofNow, asText] = [refusing('new Date() of now'), refusing('Date() of now')];
  const Stopped = new Proxy(Real, {
    apply: asText,
    construct: (target, given, made) =>
      given.length === 0 ? ofNow() : Reflect.construct(target, given, made),
  });
  Real.now = refusing('Date.now()');
  Real.prototype.constructor = Stopped;
  globalThis.Date = Stopped;
  if (globalThis.performance !== undefined) {
    globalThis.performance = { now: refusing('performance.now()') };
  }
}
