// The one shape of every error body: problem details (RFC 9457) with `message`.

import { STATUS_CODES } from 'node:http';

import { log } from './log.js';

/** A failing call's answer. */
export class Problem extends Error {
  constructor(status, message, { errors, headers } = {}) {
    super(message);
    this.status = status;
    this.errors = errors;
    this.headers = headers;
  }
}

/** 422, naming every rule that is broken: `{field, rule, length?}`. */
export function invalid(violations) {
  const sentences = violations.map(({ field, rule, length }) =>
    length === undefined ? `${field} must ${rule}` : `${field} must ${rule} (it has ${length} characters)`);
  const errors = violations.map(({ field, rule, length }) => ({ field, rule, length: length ?? null }));
  return new Problem(422, sentences.join('; '), { errors });
}

export const unauthenticated = (message) => new Problem(401, message, { headers: { 'WWW-Authenticate': 'Bearer' } });
export const notFound = (noun) => new Problem(404, `there is no such ${noun}`);
export const unavailable = (what, seconds) =>
  new Problem(503, `${what} is not available right now: try again shortly`, { headers: { 'Retry-After': String(seconds) } });

// Classes 40 (given up for another transaction's sake), 53 (out of resources) and 57P (shutting down, starting up) pass.
const PASSING = /^(40|53|57P)/;
const AWAY = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOENT']);

function isDatabaseAway(error) {
  return PASSING.test(error.code) || AWAY.has(error.code)
    || /timeout exceeded when trying to connect|Connection terminated/.test(error.message);
}

/** What a caller may know of an error. */
function toProblem(error) {
  if (error instanceof Problem) return error;
  switch (error.type) { // express.json's words
    case 'entity.parse.failed': return new Problem(400, `the body is not JSON: ${error.message}`);
    case 'entity.too.large': return new Problem(413, `the body is over the limit of ${error.limit} bytes`);
  }
  if (error.expose && error.status >= 400 && error.status < 500) return new Problem(error.status, error.message);
  if (isDatabaseAway(error)) {
    log.warn({ why: error.message }, 'the database is away');
    return unavailable('the database', 2);
  }
  log.error({ err: error }, 'a request failed by our fault');
  return new Problem(500, 'something went wrong on our side; the request id in the header x-request-id helps us find out what');
}

/** Express' last handler. */
export function answerProblem(error, _req, res, _next) {
  const { status, message, errors, headers } = toProblem(error);
  if (res.headersSent) return res.destroy();
  const body = { message, type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, detail: message, errors };
  res.status(status).set(headers ?? {}).type('application/problem+json').send(JSON.stringify(body));
}
