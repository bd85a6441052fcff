// Redis: one connection for the cache, one for the queue. Both fail quickly rather than make a request wait.

import Redis from 'ioredis';

import { log } from './log.js';

/** A connection; commands fail at once while it is down. */
export function connect(config, name) {
  const redis = new Redis(config.redisUrl, {
    connectionName: `node-baseline-${name}`,
    enableOfflineQueue: false,
    enableAutoPipelining: name === 'cache',
    maxRetriesPerRequest: name === 'queue' ? null : 1,
    commandTimeout: 1_000,
    retryStrategy: (times) => Math.min(times * 100, 1_000),
  });
  let wasDown = false;
  redis.on('error', (error) => {
    if (!wasDown) log.warn({ connection: name, why: error.message }, 'Redis is away');
    wasDown = true;
  });
  redis.on('ready', () => {
    if (wasDown) log.info({ connection: name }, 'Redis is back');
    wasDown = false;
  });
  return redis;
}

/** Hangs up once what was asked before is answered. */
export const leave = (redis) => redis.quit().catch(() => redis.disconnect());
