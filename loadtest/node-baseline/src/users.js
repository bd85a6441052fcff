// /api/user and /api/auth: accounts, logging in and out.

import { Router } from 'express';

import { transaction } from './database.js';
import * as input from './input.js';
import { hash, isRight } from './passwords.js';
import { Problem, notFound, unauthenticated } from './problem.js';

const INSERT = {
  name: 'user-insert',
  text: 'INSERT INTO users (username, password_hash) VALUES ($1, $2) RETURNING id, username',
};
const FIND = { name: 'user-find', text: 'SELECT id, username FROM users WHERE id = $1 AND deleted_at IS NULL' };
const LIST = {
  name: 'user-list',
  text: 'SELECT id, username FROM users WHERE deleted_at IS NULL AND id < $1 ORDER BY id DESC LIMIT $2',
};
const CREDENTIALS = {
  name: 'user-credentials',
  text: 'SELECT id, password_hash FROM users WHERE lower(username) = lower($1) AND deleted_at IS NULL',
};
const UPDATE = {
  name: 'user-update',
  text: `UPDATE users SET username = coalesce($2, username), password_hash = coalesce($3, password_hash), updated_at = now()
         WHERE id = $1 AND deleted_at IS NULL RETURNING id, username`,
};
const DELETE = {
  name: 'user-delete',
  text: `UPDATE users SET deleted_at = now(), updated_at = now(), password_hash = '', display_name = '', bio = ''
         WHERE id = $1 AND deleted_at IS NULL RETURNING id, username`,
};
const END_SESSIONS = { name: 'user-end-sessions', text: 'DELETE FROM sessions WHERE user_id = $1' };
const DELETE_POSTS = {
  name: 'user-delete-posts',
  text: 'UPDATE posts SET deleted_at = now() WHERE user_id = $1 AND deleted_at IS NULL',
};

function taken(error) {
  if (error.constraint === 'users_username_key') throw new Problem(409, 'username is taken: choose another one');
  throw error;
}

/** The routes of accounts. */
export function userRoutes({ db, sessions, feed }) {
  const routes = Router();

  async function find(id) {
    const { rows } = await db.query({ ...FIND, values: [id] });
    if (rows.length === 0) throw notFound('user');
    return rows[0];
  }

  // The account in the path, which must be the caller's.
  async function own(req) {
    const caller = await sessions.userOrRefuse(req.ticket);
    const id = input.id(req.params.id, 'user');
    if (caller.id === id) return id;
    await find(id);
    throw new Problem(403, "this account is somebody else's");
  }

  routes.post('/api/user/signup', input.body, async (req, res) => {
    const { username, password } = input.newCredentials(req.body);
    const { rows } = await db.query({ ...INSERT, values: [username, await hash(password)] }).catch(taken);
    res.status(201).json({ 'User created': rows });
  });

  routes.get('/api/user', async (req, res) => {
    const { limit, before = Number.MAX_SAFE_INTEGER } = input.page(req.query);
    const found = await db.query({ ...LIST, values: [before, limit + 1] });
    const { rows, link } = input.cut(found.rows, limit, '/api/user');
    if (link) res.set('Link', link);
    res.json(rows);
  });

  routes.get('/api/user/:id', async (req, res) => {
    res.json(await find(input.id(req.params.id, 'user')));
  });

  routes.put('/api/user/:id', sessions.needed, input.body, async (req, res) => {
    const { username, password } = input.changedCredentials(req.body);
    const id = await own(req);
    const passwordHash = password === undefined ? undefined : await hash(password);
    const user = await transaction(db, async (tx) => {
      const { rows } = await tx.query({ ...UPDATE, values: [id, username, passwordHash] }).catch(taken);
      if (rows.length === 0) throw notFound('user');
      if (passwordHash) await tx.query({ ...END_SESSIONS, values: [id] });
      return rows[0];
    });
    if (username !== undefined) await feed.invalidate();
    if (passwordHash && !await sessions.open(req, res, id, passwordHash)) throw notFound('user');
    res.json({ 'User updated': [user] });
  });

  routes.delete('/api/user/:id', sessions.needed, async (req, res) => {
    const id = await own(req);
    const user = await transaction(db, async (tx) => {
      const { rows } = await tx.query({ ...DELETE, values: [id] });
      if (rows.length === 0) throw notFound('user');
      await tx.query({ ...END_SESSIONS, values: [id] });
      await tx.query({ ...DELETE_POSTS, values: [id] });
      return rows[0];
    });
    await feed.invalidate();
    res.json({ 'User deleted': [user] });
  });

  routes.post('/api/auth/login', input.body, async (req, res) => {
    const { username, password } = input.loginCredentials(req.body);
    // PostgreSQL's text holds no NUL; a name with one is nobody's.
    const { rows } = username.includes('\0') ? { rows: [] } : await db.query({ ...CREDENTIALS, values: [username] });
    const right = await isRight(password, rows[0]?.password_hash);
    if (!right || !await sessions.open(req, res, rows[0].id, rows[0].password_hash)) {
      throw unauthenticated('Invalid credentials');
    }
    res.json({ message: 'User logged in' });
  });

  routes.get('/api/auth/logout', async (req, res) => {
    await sessions.end(req, res);
    res.json({ message: 'User logged out' });
  });

  routes.get('/api/auth/loginstatus', async (req, res) => {
    const user = await sessions.caller(req);
    res.json(user ? { isLoggedIn: true, user } : { isLoggedIn: false });
  });

  return routes;
}
