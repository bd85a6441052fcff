// Password hashes: argon2id with Linnet's own cost, so that signing up is the same work and accounts serve both.

import { randomUUID } from 'node:crypto';

import argon2 from 'argon2';

const COST = { type: argon2.argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

export const hash = (password) => argon2.hash(password, COST);

// Checked for names that do not exist, so that they take as long.
const decoy = hash(randomUUID());

/** Whether this is the password; `stored` is undefined for a name that does not exist. */
export async function isRight(password, stored) {
  if (stored?.startsWith('$argon2')) return argon2.verify(stored, password);
  await argon2.verify(await decoy, password);
  return false;
}
