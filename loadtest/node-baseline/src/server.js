// One replica: puts the parts together, listens, and stops when it is told to.

import { createServer } from 'node:http';

import { application } from './app.js';
import { readConfig } from './config.js';
import * as database from './database.js';
import { Jobs } from './jobs.js';
import { Llm } from './llm.js';
import { log } from './log.js';
import { feedCache } from './posts.js';
import * as redisClient from './redis.js';
import { Sessions } from './sessions.js';

const SHUTDOWN_MS = 20_000;

let config;
try {
  config = readConfig(process.env);
} catch (error) {
  console.error(error.message);
  process.exit(2);
}

const db = database.connect(config);
const redis = redisClient.connect(config, 'cache');
const queueRedis = redisClient.connect(config, 'queue');
const jobs = new Jobs(queueRedis, config.redisPrefix);
const feed = feedCache({ db, redis, config });
const sessions = new Sessions(db, config.jwtKey);

const server = createServer(application({ config, db, redis, feed, jobs, sessions, llm: new Llm(config) }));
// Longer than NGINX keeps an idle connection (60 s), so that it is never this side that hangs up on a request.
server.keepAliveTimeout = 75_000;
server.headersTimeout = 80_000;
server.on('error', (error) => {
  log.fatal({ why: error.message }, 'cannot listen; API_HOST and API_PORT say where');
  process.exit(1);
});
server.listen({ host: config.host, port: config.port, backlog: 4096 }, () => {
  log.info({ address: server.address() }, 'listening');
});

async function stop(signal) {
  log.info({ signal }, 'stopping: finishing what is under way');
  setTimeout(() => process.exit(1), SHUTDOWN_MS).unref();
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeIdleConnections();
  });
  // Somebody may have hung up on a post that is being written all the same: its statement first, then what follows it.
  await db.end();
  await new Promise(setImmediate);
  await Promise.all([redisClient.leave(redis), redisClient.leave(queueRedis)]);
  log.info('stopped');
}
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, stop);
