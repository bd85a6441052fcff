// PostgreSQL: the pool. Statements are named and so prepared once per connection.

import pg from 'pg';

import { log } from './log.js';

// Ids are below 2^53 by the schema.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/** A pool of connections. */
export function connect(config) {
  const pool = new pg.Pool({
    connectionString: config.databaseUrl,
    max: config.databaseMaxConnections,
    // An idle connection keeps its prepared statements for the next burst.
    idleTimeoutMillis: 60_000,
    connectionTimeoutMillis: 5_000,
    statement_timeout: 10_000,
    keepAlive: true,
    application_name: 'node-baseline',
  });
  pool.on('error', (error) => log.warn({ why: error.message }, 'an idle connection to the database has gone'));
  return pool;
}

/** Runs `work` in a transaction. */
export async function transaction(pool, work) {
  const client = await pool.connect();
  let fault;
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    fault = error;
    await client.query('ROLLBACK').then(() => { fault = undefined; }, () => {});
    throw error;
  } finally {
    // One that could not even roll back is not used again.
    client.release(fault);
  }
}
