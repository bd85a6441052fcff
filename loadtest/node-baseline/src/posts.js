// /api/posts: the feed, one post, writing, changing, deleting, and a suggestion from the model.

import { Router } from 'express';

import { FeedCache } from './feed-cache.js';
import * as input from './input.js';
import * as queries from './posts-queries.js';
import { Problem, notFound } from './problem.js';
import { expired } from './sessions.js';

const PENDING = {
  status: 'pending', polarity: null, score: null, confidence: null, safety: null, topics: [], explanation: null, model: null,
};

function analysisOf(row) {
  if (row.status === null) return null;
  const { status, polarity, score, confidence, safety, topics, explanation, model } = row;
  return { status, polarity, score, confidence, safety, topics, explanation, model };
}

/** A post as callers see it. */
function toPost(row, analysis = analysisOf(row)) {
  return {
    id: row.id,
    content: row.content,
    sentiment: analysis?.safety ?? '',
    correction: analysis?.explanation ?? '',
    userId: row.user_id,
    created_at: row.created_at,
    updated_at: row.updated_at,
    deleted_at: row.deleted_at,
    username: row.username,
    analysis,
  };
}

async function selectPage(db, limit, before = Number.MAX_SAFE_INTEGER) {
  const { rows, link } = input.cut(await queries.page(db, before, limit + 1), limit, '/api/posts');
  return { body: Buffer.from(JSON.stringify(rows.map((row) => toPost(row)))), link };
}

const requestIdOf = (req) => (req.get('x-request-id') ?? '').slice(0, 64);

/** The cached feed, for the routes and for whatever else changes it. */
export const feedCache = ({ db, redis, config }) => new FeedCache({
  redis,
  prefix: config.redisPrefix,
  active: config.cacheActive,
  load: (limit) => selectPage(db, limit),
});

/** The routes of posts. */
export function postRoutes({ db, feed, jobs, llm, sessions, config }) {
  const routes = Router();
  const text = (req) => input.postText(req.body, config.contentMaxCharacters);

  // Why a change of a post found nothing to change.
  async function refusal(ticket, id) {
    await sessions.userOrRefuse(ticket);
    return await queries.find(db, id, false) ? new Problem(403, "this post is somebody else's") : notFound('post');
  }

  routes.get('/api/posts', async (req, res) => {
    const { limit, before } = input.page(req.query);
    const { body, link } = before === undefined ? await feed.page(limit) : await selectPage(db, limit, before);
    if (link) res.setHeader('Link', link);
    res.setHeader('Content-Type', 'application/json');
    res.setHeader('Content-Length', body.length);
    res.end(body);
  });

  routes.post('/api/posts', sessions.needed, input.body, async (req, res) => {
    const row = await queries.insert(db, req.ticket, text(req), requestIdOf(req));
    if (!row) throw expired();
    await Promise.all([feed.invalidate(), jobs.analyze(row.id, row.revision)]);
    res.status(201).json([toPost(row, PENDING)]);
  });

  routes.get('/api/posts/generate', async (req, res) => {
    res.status(201).json({ content: await llm.generate(requestIdOf(req)) });
  });

  routes.get('/api/posts/:id', async (req, res) => {
    const row = await queries.find(db, input.id(req.params.id, 'post'), false);
    if (!row) throw notFound('post');
    res.json(toPost(row));
  });

  routes.put('/api/posts/:id', sessions.needed, input.body, async (req, res) => {
    const id = input.id(req.params.id, 'post');
    const updated = await queries.update(db, req.ticket, id, text(req), requestIdOf(req));
    if (!updated) throw await refusal(req.ticket, id);
    const [row] = await Promise.all([queries.find(db, id, true), feed.invalidate(), jobs.analyze(id, updated.revision)]);
    res.json({ message: 'success', updated_post: [toPost(row)] });
  });

  routes.delete('/api/posts/:id', sessions.needed, async (req, res) => {
    const id = input.id(req.params.id, 'post');
    if (!await queries.remove(db, req.ticket, id)) throw await refusal(req.ticket, id);
    const [row] = await Promise.all([queries.find(db, id, true), feed.invalidate()]);
    res.json({ 'Post deleted': [toPost(row)] });
  });

  return routes;
}
