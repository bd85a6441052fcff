// What callers send: JSON bodies, names, passwords, texts, numbers, pages. What is wrong with it is named.

import express from 'express';

import { Problem, invalid, notFound } from './problem.js';

const MAX_BODY = 64 * 1024;
const json = express.json({ limit: MAX_BODY, strict: false, type: ['application/json', 'application/*+json'] });

function isObject(req, _res, next) {
  if (req.body === undefined) {
    return next(req.is(['application/json', '+json']) === false || !req.headers['content-type']
      ? new Problem(415, 'the body must be JSON: send the header `content-type: application/json`')
      : new Problem(400, 'the body is not JSON: it is empty'));
  }
  if (typeof req.body !== 'object' || req.body === null || Array.isArray(req.body)) {
    return next(invalid([{ field: 'body', rule: 'be a JSON object' }]));
  }
  next();
}

/** Middleware: the body is a JSON object from here on. */
export const body = [json, isObject];

/** Unicode characters, which a string counts only when it may be too long. */
const characters = (text) => [...text].length;

function textField(input, field) {
  const value = input[field];
  if (value === undefined || value === null) return { absent: { field, rule: 'be given' } };
  if (typeof value !== 'string') return { wrong: { field, rule: 'be a string' } };
  return { value };
}

function checked(input, field, rule, fits) {
  const found = textField(input, field);
  if (found.value !== undefined && !fits(found.value)) {
    return { wrong: { field, rule, length: characters(found.value) } };
  }
  return found;
}

const username = (input) => checked(input, 'username', "have 3 to 30 characters, each a letter, a digit, '_', '.' or '-'",
  (text) => /^[A-Za-z0-9_.-]{3,30}$/.test(text));
const password = (input) => checked(input, 'password', 'have 8 to 256 characters', (text) => {
  const length = characters(text);
  return length >= 8 && length <= 256;
});

function refuse(...violations) {
  const found = violations.filter(Boolean);
  if (found.length > 0) throw invalid(found);
}

/** A new account's name and password. */
export function newCredentials(input) {
  const [name, word] = [username(input), password(input)];
  refuse(name.wrong ?? name.absent, word.wrong ?? word.absent);
  return { username: name.value, password: word.value };
}

/** A change of an account: a name, a password or both. */
export function changedCredentials(input) {
  const [name, word] = [username(input), password(input)];
  refuse(name.wrong, word.wrong);
  if (name.absent && word.absent) throw invalid([name.absent]);
  return { username: name.value, password: word.value };
}

/** A login's name and password, by no rule but that they are there. */
export function loginCredentials(input) {
  const [name, word] = [textField(input, 'username'), textField(input, 'password')];
  refuse(name.wrong ?? name.absent, word.wrong ?? word.absent);
  return { username: name.value, password: word.value };
}

/** A post's text: 1 to `most` characters after trimming, no control characters but line ends. */
export function postText(input, most) {
  const { value, wrong, absent } = textField(input, 'content');
  refuse(wrong ?? absent);
  const text = value.trim().replaceAll('\r\n', '\n');
  // Never fewer code units than characters: most texts need not be counted.
  const length = text.length <= most ? text.length : characters(text);
  if (length < 1 || length > most) {
    throw invalid([{ field: 'content', rule: `have 1 to ${most} characters after trimming`, length }]);
  }
  const control = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.exec(text);
  if (control) {
    const code = control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    const rule = `hold no control characters but line ends (it holds U+${code})`;
    throw invalid([{ field: 'content', rule, length: characters(text) }]);
  }
  return text;
}

/** The number in a path. */
export function id(text, noun) {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (!Number.isSafeInteger(value) || value < 1) throw notFound(noun);
  return value;
}

/** The page that a query asks for: at most `limit` below the id `before`. */
export function page(query) {
  const { limit = '50', before } = query;
  if (!/^\d{1,3}$/.test(limit) || limit < 1 || limit > 100) {
    throw invalid([{ field: 'limit', rule: 'be a whole number from 1 to 100' }]);
  }
  if (before === undefined) return { limit: Number(limit) };
  if (!/^\d{1,19}$/.test(before) || before < 1) {
    throw invalid([{ field: 'before', rule: 'be the id of an item (1 or more)' }]);
  }
  return { limit: Number(limit), before: Math.min(Number(before), Number.MAX_SAFE_INTEGER) };
}

/** The rows of a page from one row more than fit, and the header that names the next page. */
export function cut(rows, limit, path) {
  if (rows.length <= limit) return { rows };
  const fitting = rows.slice(0, limit);
  return { rows: fitting, link: `<${path}?limit=${limit}&before=${fitting.at(-1).id}>; rel="next"` };
}
