'use strict';

/** Tokens that are kept, the newest; with what they say they have some kilobytes each. */
const MAX_TOKENS = 1024;

/**
 * What tokens say that were opened lately. A page has several sockets and comes back with each, and to open a token costs
 * more than the rest of an upgrade, and turns of the event loop. Only what a secret has sealed is kept, and only while the
 * secrets are the same. Whether a token still holds is for who asks.
 */
class OpenedTokens {
  #secrets = '';
  /** JSON by cookie name and token, those last asked for at the end: whoever gets the claims may change them. */
  #claims = new Map();

  /** @returns {object | undefined} the claims, where the token is known */
  get(name, token, secrets) {
    this.#forgetOthers(secrets);
    const key = `${name} ${token}`;
    const text = this.#claims.get(key);
    if (text === undefined) return undefined;
    this.#claims.delete(key);
    this.#claims.set(key, text);
    return JSON.parse(text);
  }

  set(name, token, secrets, claims) {
    this.#forgetOthers(secrets);
    this.#claims.set(`${name} ${token}`, JSON.stringify(claims));
    if (this.#claims.size > MAX_TOKENS) this.#claims.delete(this.#claims.keys().next().value);
  }

  #forgetOthers(secrets) {
    const text = JSON.stringify(secrets);
    if (text === this.#secrets) return;
    this.#secrets = text;
    this.#claims.clear();
  }
}

module.exports = { MAX_TOKENS, OpenedTokens };
