// Logins: a token (JWT, HS256, 24 hours) names a session, and counts while that is in the table. So a logout, a new
// password or the end of an account ends it on every replica. Tokens are Linnet's own: either takes the other's.

import { randomUUID } from 'node:crypto';

import { parse } from 'cookie';
import jwt from 'jsonwebtoken';

import { unauthenticated } from './problem.js';

const LIFETIME_SECONDS = 24 * 60 * 60;

/** The end of a statement that does something only for a session that counts: `$1` its id, `$2` its user. */
export const SESSION = `sessions s JOIN users u ON u.id = s.user_id AND u.deleted_at IS NULL
  WHERE s.id = $1 AND s.user_id = $2 AND s.expires_at > now()`;

const USER = { name: 'session-user', text: `SELECT u.id, u.username FROM ${SESSION}` };
// Only while the password that was just checked still is the account's.
const OPEN = {
  name: 'session-open',
  text: `INSERT INTO sessions (id, user_id, expires_at, user_agent)
         SELECT $1, id, now() + $4::int * interval '1 second', $5 FROM users
         WHERE id = $2 AND password_hash = $3 AND deleted_at IS NULL FOR SHARE`,
};
const END = { name: 'session-end', text: 'DELETE FROM sessions WHERE id = $1' };

/** What a login hears that no longer counts. */
export const expired = () => unauthenticated('the login has expired or was ended: log in again');

function tokenOf(req) {
  const { authorization, cookie } = req.headers;
  const bearer = authorization && /^bearer +(.+)$/i.exec(authorization);
  if (bearer) return bearer[1].trim();
  return cookie && parse(cookie).jwt;
}

export class Sessions {
  constructor(db, key) {
    Object.assign(this, { db, key });
    /** Middleware: `req.ticket` is a sound token's `{ session, user }`; whether it still counts is the statement's to say. */
    this.needed = (req, _res, next) => {
      const token = tokenOf(req);
      if (!token) return next(unauthenticated('log in first'));
      req.ticket = this.read(token);
      next(req.ticket ? undefined : expired());
    };
  }

  read(token) {
    try {
      const { sid, sub } = jwt.verify(token, this.key, { algorithms: ['HS256'] });
      const user = Number(sub);
      const sound = /^[0-9a-f-]{36}$/i.test(sid) && Number.isSafeInteger(user);
      return sound ? { session: sid, user } : undefined;
    } catch {
      return undefined;
    }
  }

  /** Who is logged in with this ticket, if anybody. */
  async user(ticket) {
    const { rows } = await this.db.query({ ...USER, values: [ticket.session, ticket.user] });
    return rows[0];
  }

  /** The same, or 401. */
  async userOrRefuse(ticket) {
    const user = await this.user(ticket);
    if (!user) throw expired();
    return user;
  }

  /** Who sends this request, if somebody who is logged in. */
  async caller(req) {
    const token = tokenOf(req);
    const ticket = token && this.read(token);
    return ticket ? this.user(ticket) : undefined;
  }

  /** Opens a session and sets its cookie; false when the account has gone or has another password by now. */
  async open(req, res, userId, passwordHash) {
    const session = randomUUID();
    const agent = (req.get('user-agent') ?? '').slice(0, 200);
    const opened = await this.db.query({ ...OPEN, values: [session, userId, passwordHash, LIFETIME_SECONDS, agent] });
    if (opened.rowCount !== 1) return false;
    const token = jwt.sign({ sid: session }, this.key, { subject: String(userId), expiresIn: LIFETIME_SECONDS });
    res.cookie('jwt', token, { httpOnly: true, sameSite: 'lax', secure: req.secure, path: '/', maxAge: LIFETIME_SECONDS * 1000 });
    return true;
  }

  /** Ends the session of this request, if there is one, and takes the cookie back. */
  async end(req, res) {
    const token = tokenOf(req);
    const ticket = token && this.read(token);
    if (ticket) await this.db.query({ ...END, values: [ticket.session] });
    res.clearCookie('jwt', { httpOnly: true, sameSite: 'lax', secure: req.secure, path: '/' });
  }
}
