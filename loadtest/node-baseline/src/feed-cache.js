// The feed's first page, rendered once per version. A write sets another version after its COMMIT and before its answer;
// a reader asks for the version first, so it sees every write that was answered before it asked, on every replica.

import { randomUUID } from 'node:crypto';

import { log } from './log.js';

const IN_REDIS_MS = 10_000;
// Verdicts come without a new version, and a process that died before it could set one leaves the old one.
const IN_PROCESS_MS = 2_000;

export class FeedCache {
  /** `load(limit)` selects a page: `{ body: Buffer, link?: string }`. */
  constructor({ redis, prefix, active, load }) {
    Object.assign(this, { redis, prefix, active, load });
    this.versionKey = `${prefix}:feed:version`;
    // The newest page of each limit, of which there are a hundred; as promises, so that readers share one SELECT.
    this.pages = new Map();
  }

  /** The page, from wherever it is nearest. Redis failing is no failure: the page is selected. */
  async page(limit) {
    const version = this.active ? await this.version() : undefined;
    if (!version) return this.load(limit);
    const known = this.pages.get(limit);
    if (known?.version === version && known.until > Date.now()) return known.page;
    const page = this.fill(version, limit);
    const entry = { version, page, until: Date.now() + IN_PROCESS_MS };
    this.pages.set(limit, entry);
    page.catch(() => {
      if (this.pages.get(limit) === entry) this.pages.delete(limit);
    });
    return page;
  }

  /** Makes every page so far old. Never fails: without Redis there are no pages but those that end by themselves. */
  async invalidate() {
    try {
      await this.redis.set(this.versionKey, randomUUID());
    } catch (error) {
      log.warn({ why: error.message }, 'the feed has no new version');
    }
  }

  async version() {
    try {
      const version = await this.redis.get(this.versionKey);
      if (version) return version;
      await this.redis.set(this.versionKey, randomUUID(), 'NX');
      return await this.redis.get(this.versionKey);
    } catch {
      return undefined;
    }
  }

  async fill(version, limit) {
    const key = `${this.prefix}:feed:${version}:${limit}`;
    const stored = await this.redis.get(key).catch(() => null);
    if (stored !== null) {
      const end = stored.indexOf('\n');
      return { body: Buffer.from(stored.slice(end + 1)), link: stored.slice(0, end) || undefined };
    }
    const page = await this.load(limit);
    this.redis.set(key, `${page.link ?? ''}\n${page.body}`, 'PX', IN_REDIS_MS).catch(() => {});
    return page;
  }
}
