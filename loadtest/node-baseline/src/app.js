// The Express application: what every request passes through, and the routes.

import express from 'express';

import { postRoutes } from './posts.js';
import { Problem, answerProblem } from './problem.js';
import { userRoutes } from './users.js';

const PATIENCE_MS = 2_000;

const within = (promise) => Promise.race([
  promise.then(() => 'ok', () => 'down'),
  new Promise((resolve) => { setTimeout(resolve, PATIENCE_MS, 'down').unref(); }),
]);

/** The application over its parts: `{ config, db, redis, feed, jobs, llm, sessions }`. */
export function application(parts) {
  const app = express();
  app.disable('x-powered-by');
  // Answers are no-store, so nobody has an ETag to send back; making one would hash each body for nothing.
  app.disable('etag');
  app.set('trust proxy', 'loopback');
  app.set('env', 'production');

  app.use((req, res, next) => {
    res.setHeader('Cache-Control', 'no-store');
    res.setHeader('X-Content-Type-Options', 'nosniff');
    const id = req.headers['x-request-id'];
    if (id) res.setHeader('X-Request-Id', id);
    // Once it is stopping each answer is its connection's last.
    if (!req.socket.server.listening) res.shouldKeepAlive = false;
    next();
  });

  app.use(postRoutes(parts));
  app.use(userRoutes(parts));

  app.get('/livez', (_req, res) => res.json({ status: 'alive' }));
  app.get('/readyz', async (_req, res) => {
    const [postgresql, redis] = await Promise.all([within(parts.db.query('SELECT 1')), within(parts.redis.ping())]);
    const degraded = redis === 'ok' ? 'ready' : 'degraded';
    const status = postgresql === 'ok' ? degraded : 'unavailable';
    res.status(postgresql === 'ok' ? 200 : 503).json({ status, postgresql, redis });
  });

  app.use((_req, _res, next) => next(new Problem(404, 'there is nothing at this address')));
  app.use(answerProblem);
  return app;
}
