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
  #underWay = new Map();

  /** @param decide the option `access` */
  constructor(decide) {
    this.#decide = decide;
  }

  /**
   * Resolves with 'write', 'read' or 'none'.
   *
   * @param identity of readSession; undefined where sessions are not used, and then nothing is shared
   */
  async decide(identity, { documentId, clientID, path, req }) {
    const ask = { user: identity?.user ?? null, documentId, clientID, path, req };
    if (!identity) return answer(await this.#decide(ask));
    // The whole user and not only the id: another session of the same user may be allowed less.
    const key = JSON.stringify([identity.profile, documentId]);
    let decision = this.#underWay.get(key);
    if (!decision) {
      decision = { userId: identity.id, documentId, stale: false };
      decision.promise = this.#settle(decision, ask).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, decision);
    }
    return decision.promise;
  }

  /** What is being decided about a user and a document may rest on what was true before. */
  invalidate(userId, documentId) {
    for (const decision of this.#underWay.values()) {
      if ((userId === undefined || decision.userId === userId) && decision.documentId === documentId)
        decision.stale = true;
    }
  }

  async #settle(decision, ask) {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      decision.stale = false;
      const decided = answer(await this.#decide(ask));
      if (!decision.stale) return decided;
    }
    throw new Error('access changes faster than it can be decided');
  }
}

module.exports = { AccessDecisions };
