'use strict';

const ANSWERS = new Map([
  ['write', 'write'],
  ['read', 'read'],
  [false, 'none'],
]);

/** How often a decision is made anew because access was changed while it was being made. */
const MAX_ATTEMPTS = 3;

function answer(value) {
  if (!ANSWERS.has(value)) throw new TypeError(`access must answer 'write', 'read' or false, not ${String(value)}`);
  return ANSWERS.get(value);
}

/**
 * Decides what users may do with documents. Tabs of one user that arrive together share one decision; it is not kept
 * once it is made.
 */
class AccessDecisions {
  #decide;
  /** By what they are shared by. */
  #underWay = new Map();

  /** @param decide the option `access` */
  constructor(decide) {
    this.#decide = decide;
  }

  /**
   * Calls `done` with `{ access }`, which is 'write', 'read' or 'none', or with `{ error }`.
   *
   * A callback and no promise: what it says is true at the moment of the call, and between a promise and who awaits it
   * others get their turn, who may change access.
   *
   * @param identity of readSession; undefined where sessions are not used, and then nothing is shared
   */
  decide(identity, { documentId, clientID, path, req }, done) {
    // The whole user and not only the id: another session of the same user may be allowed less.
    const key = identity ? JSON.stringify([identity.profile, documentId, path]) : done;
    const known = this.#underWay.get(key);
    if (known) return void known.waiting.push(done);
    const decision = { key, userId: identity?.id, documentId, stale: false, waiting: [done] };
    this.#underWay.set(key, decision);
    return void this.#make(decision, { user: identity?.user ?? null, documentId, clientID, path, req });
  }

  /** What is being decided about a user and a document may rest on what was true before. */
  invalidate(userId, documentId) {
    for (const decision of this.#underWay.values()) {
      if ((userId === undefined || decision.userId === userId) && decision.documentId === documentId)
        decision.stale = true;
    }
  }

  async #make(decision, ask) {
    let outcome = { error: new Error('access changes faster than it can be decided') };
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      decision.stale = false;
      const answered = await this.#ask(ask);
      if (decision.stale) continue;
      outcome = answered;
      break;
    }
    // Nothing is awaited from here to the last call.
    this.#underWay.delete(decision.key);
    for (const done of decision.waiting) done(outcome);
  }

  async #ask(ask) {
    try {
      return { access: answer(await this.#decide(ask)) };
    } catch (error) {
      return { error };
    }
  }
}

module.exports = { AccessDecisions };
