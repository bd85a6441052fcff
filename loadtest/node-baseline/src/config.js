// Settings, from the environment. A bad value stops the program at its start with a sentence that names it.

import { createSecretKey } from 'node:crypto';

class BadSetting extends Error {}

function whole(env, name, fallback, lowest, highest) {
  const text = env[name] || String(fallback);
  const value = Number(text);
  if (!Number.isInteger(value) || value < lowest || value > highest) {
    throw new BadSetting(`${name} is ${text}: give a whole number from ${lowest} to ${highest}`);
  }
  return value;
}

function truth(env, name, fallback) {
  const text = (env[name] || String(fallback)).toLowerCase();
  if (['true', 'yes', 'on', '1'].includes(text)) return true;
  if (['false', 'no', 'off', '0'].includes(text)) return false;
  throw new BadSetting(`${name} is ${text}: give true or false`);
}

function address(env, name, fallback, protocols) {
  const text = env[name] || fallback;
  if (!text) throw new BadSetting(`${name} is missing: give an address that begins with ${protocols[0]}//`);
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new BadSetting(`${name} is no address`);
  }
  if (!protocols.includes(url.protocol)) {
    throw new BadSetting(`${name} must begin with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`);
  }
  return url;
}

function secret(env) {
  const text = env.JWT_SECRET ?? '';
  if (text.length < 32) throw new BadSetting('JWT_SECRET is missing or too short: give at least 32 characters of chance');
  // Made once: given as text it would be made into a key again at every request.
  return createSecretKey(Buffer.from(text));
}

function redisAddress(env) {
  if (env.REDIS_URL) return address(env, 'REDIS_URL', '', ['redis:', 'rediss:']);
  return new URL(`redis://${env.REDIS_HOST || '127.0.0.1'}:${whole(env, 'REDIS_PORT', 6379, 1, 65535)}`);
}

/** What the environment asks for. */
export function readConfig(env) {
  if (truth(env, 'RATE_LIMITER', false)) {
    throw new BadSetting('RATE_LIMITER is true, and this baseline limits nobody: set it to false');
  }
  return {
    host: env.API_HOST || '127.0.0.1',
    port: whole(env, 'API_PORT', 3000, 0, 65535),
    databaseUrl: address(env, 'DATABASE_URL', '', ['postgres:', 'postgresql:']).href,
    databaseMaxConnections: whole(env, 'DATABASE_MAX_CONNECTIONS', 16, 1, 500),
    redisUrl: redisAddress(env).href,
    redisPrefix: env.REDIS_PREFIX || 'node-baseline',
    cacheActive: truth(env, 'CACHE_ACTIVE', true),
    jwtKey: secret(env),
    contentMaxCharacters: whole(env, 'CONTENT_MAX_CHARACTERS', 500, 1, 5000),
    // With or without /v1, as Linnet takes it.
    llmUrl: address(env, 'LLM_URL', 'http://127.0.0.1:3300', ['http:', 'https:']).href.replace(/(\/v1)?\/?$/, ''),
    llmTimeoutMs: whole(env, 'LLM_TIMEOUT_SECONDS', 60, 1, 600) * 1000,
  };
}
