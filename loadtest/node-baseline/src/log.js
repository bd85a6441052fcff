// The log: starts, stops and faults. Requests are in NGINX' access log, with the id that both share.

import pino from 'pino';

export const log = pino({ name: 'node-baseline', level: process.env.LOG_LEVEL || 'info' });
