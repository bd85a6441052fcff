// Every statement about posts, over Linnet's own schema. The trigger on posts writes what waits for a verdict.

import { SESSION } from './sessions.js';

const COLUMNS = `p.id, p.content, p.user_id, p.created_at, p.updated_at, p.deleted_at, u.username,
  a.status, a.polarity, a.score, a.confidence, a.safety, a.topics, a.explanation, a.model`;
const ANALYSIS = 'LEFT JOIN post_analysis a ON a.post_id = p.id';

// The newest are chosen before the verdicts are joined, which then are looked up for these alone.
const PAGE = {
  name: 'post-page',
  text: `SELECT ${COLUMNS}
         FROM (SELECT * FROM posts WHERE deleted_at IS NULL AND repost_of IS NULL AND id < $1 ORDER BY id DESC LIMIT 101) p
         JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL ${ANALYSIS}
         ORDER BY p.id DESC LIMIT $2`,
};
const FIND = {
  name: 'post-find',
  text: `SELECT ${COLUMNS} FROM posts p JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL ${ANALYSIS}
         WHERE p.id = $1 AND p.repost_of IS NULL AND (p.deleted_at IS NULL OR $2)`,
};
// Writes ask for the session in the same statement: a trip less for each.
const INSERT = {
  name: 'post-insert',
  text: `INSERT INTO posts (user_id, content, request_id)
         SELECT u.id, $3, $4 FROM ${SESSION}
         RETURNING id, content, user_id, revision, created_at, updated_at, deleted_at,
                   (SELECT username FROM users w WHERE w.id = user_id) AS username`,
};
const UPDATE = {
  name: 'post-update',
  text: `UPDATE posts SET content = $4, request_id = $5
         WHERE id = $3 AND user_id = (SELECT u.id FROM ${SESSION}) AND repost_of IS NULL AND deleted_at IS NULL
         RETURNING revision`,
};
const DELETE = {
  name: 'post-delete',
  text: `UPDATE posts SET deleted_at = now()
         WHERE id = $3 AND user_id = (SELECT u.id FROM ${SESSION}) AND repost_of IS NULL AND deleted_at IS NULL`,
};

/** At most `most` posts below the id `before`, newest first, without reposts. */
export const page = async (db, before, most) => (await db.query({ ...PAGE, values: [before, most] })).rows;

/** One post, a deleted one only when `deletedToo`. */
export const find = async (db, id, deletedToo) => (await db.query({ ...FIND, values: [id, deletedToo] })).rows[0];

/** The new post; undefined when the session no longer counts. */
export const insert = async (db, { session, user }, content, requestId) =>
  (await db.query({ ...INSERT, values: [session, user, content, requestId] })).rows[0];

/** `{revision}` of the caller's own post; undefined when it is not, or the session no longer counts. */
export const update = async (db, { session, user }, id, content, requestId) =>
  (await db.query({ ...UPDATE, values: [session, user, id, content, requestId] })).rows[0];

/** Whether the caller's own post was marked as deleted. */
export const remove = async (db, { session, user }, id) =>
  (await db.query({ ...DELETE, values: [session, user, id] })).rowCount === 1;
