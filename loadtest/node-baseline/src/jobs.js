// The queue of posts that wait for their verdict: ids only, the worker reads the rest. PostgreSQL remembers what waits
// (post_analysis), so a job that is lost is found again.

import { Queue } from 'bullmq';

import { log } from './log.js';

export class Jobs {
  constructor(connection, prefix) {
    this.connection = connection;
    this.queue = new Queue('analyze', {
      connection,
      prefix: `${prefix}:bull`,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: 1_000, attempts: 5, backoff: { type: 'exponential', delay: 1_000 } },
    });
    this.queue.on('error', (error) => log.debug({ why: error.message }, 'the queue'));
  }

  /** Asks for a verdict. Never fails. */
  async analyze(postId, revision) {
    try {
      // Before the first connection BullMQ would wait for it, however long that takes.
      if (this.connection.status !== 'ready') throw new Error('Redis is away');
      await this.queue.add('analyze-post', { postId, revision });
    } catch (error) {
      log.warn({ why: error.message }, 'a post was not queued');
    }
  }
}
