/**
 * What a plugin is shown of a request and of a response.
 *
 * A request holds values of declared inputs only.
 */

import { text } from './checks.js';
import { runtime } from './log.js';

/**
 * One piece of request data that a plugin declares and therefore sees, as the contract has it.
 *
 * @typedef {{ tag: 'header' | 'cookie' | 'query-param', val: string }} Input
 */

/** A request field; compared without regard to case. @returns {Input} */
export const header = (name) => ({ tag: 'header', val: text('header', name).toLowerCase() });

/** A cookie, by name. @returns {Input} */
export const cookie = (name) => ({ tag: 'cookie', val: text('cookie', name) });

/** A query parameter, by name. @returns {Input} */
export const queryParam = (name) => ({ tag: 'query-param', val: text('query parameter', name) });

const MAKERS = { header: 'header', cookie: 'cookie', 'query-param': 'queryParam' };

/**
 * A plugin under test read what it did not declare. In the server it would get `null`, for ever; so
 * tests must not let it pass.
 */
export class UndeclaredInput extends Error {
  name = 'UndeclaredInput';
}

/** The request: its fixed parts and the declared inputs. */
export class Request {
  #inputs;
  #values;

  /** Made by the server or by `testing`; `values` are those of `inputs`, in that order. */
  constructor({ method, host, path, query }, inputs, values) {
    /** Upper-case method. @type {string} */
    this.method = method;
    /** The authority that was asked for, with its port if it had one. @type {string} */
    this.host = host;
    /** The path as sent, percent-encoding included. @type {string} */
    this.path = path;
    /** The query without the question mark. @type {string | null} */
    this.query = query ?? null;
    this.#inputs = inputs;
    this.#values = values;
  }

  /** The value of a declared request field. @returns {string | null} */
  header(name) {
    return this.#declared('header', name.toLowerCase());
  }

  /** The value of a declared cookie. @returns {string | null} */
  cookie(name) {
    return this.#declared('cookie', name);
  }

  /** The value of a declared query parameter. @returns {string | null} */
  queryParam(name) {
    return this.#declared('query-param', name);
  }

  #declared(tag, name) {
    const position = this.#inputs.findIndex((input) => input.tag === tag && input.val === name);
    if (position < 0 && !runtime.isGuest) {
      const maker = MAKERS[tag];
      throw new UndeclaredInput(
        `${maker} "${name}" is not declared; add ${maker}('${name}') to inputs`,
      );
    }
    return this.#values[position] ?? null;
  }
}

/** The response that is about to be stored. */
export class Response {
  /** Made by the server or by `testing`; names of fields are in lower case. */
  constructor({ status, headers, bodySize }) {
    /** The status code. @type {number} */
    this.status = status;
    /** @type {[string, string][]} */
    this.headers = headers;
    /** The body's length in bytes, where it was announced. @type {number | null} */
    this.bodySize = bodySize ?? null;
  }

  /** The first field of this name. @returns {string | null} */
  header(name) {
    const wanted = name.toLowerCase();
    return this.headers.find(([known]) => known === wanted)?.[1] ?? null;
  }

  /**
   * The members of a list field (RFC 9110 section 5.6.1) over all fields of this name.
   * @returns {string[]}
   */
  headerList(name) {
    const wanted = name.toLowerCase();
    const fields = this.headers.filter(([known]) => known === wanted);
    const members = fields.flatMap(([, value]) => value.split(','));
    return members.map((member) => member.trim()).filter((member) => member !== '');
  }
}
