// The language model, as llm-service speaks.

import { log } from './log.js';
import { unavailable } from './problem.js';

const SUGGESTION = 140;

export class Llm {
  constructor(config) {
    this.url = `${config.llmUrl}/v1/generate`;
    this.timeoutMs = config.llmTimeoutMs;
  }

  /** A post that a person could have written. */
  async generate(requestId) {
    try {
      const answer = await fetch(this.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(requestId && { 'x-request-id': requestId }) },
        body: JSON.stringify({ max_characters: SUGGESTION }),
        signal: AbortSignal.timeout(this.timeoutMs),
      });
      if (!answer.ok) throw new Error(`it answered ${answer.status}`);
      return (await answer.json()).content;
    } catch (error) {
      log.warn({ why: error.cause?.message ?? error.message }, 'the language model wrote nothing');
      throw unavailable('the language model', 5);
    }
  }
}
