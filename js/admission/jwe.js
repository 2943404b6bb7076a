'use strict';

// Opens the encrypted session tokens of Auth.js v5: a compact JWE (RFC 7516) with a key that both sides derive from the
// secret. What is cryptography is done by jose; the tests hold the rest against @auth/core itself.

const { hkdfSync } = require('node:crypto');

/** Length of the key by content encryption. Auth.js accepts these two. */
const KEY_BYTES = { 'A256CBC-HS512': 64, A256GCM: 32 };

const ACCEPTED = { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: Object.keys(KEY_BYTES) };

let jose;

/** Loads jose, once: an ES module alone, which takes a while. */
function loadJose() {
  return (jose ??= import('jose/jwe/compact/decrypt'));
}

/** Keys are derived once for each secret, salt and length: an upgrade need not pay for it. */
class Keys {
  #derived = new Map();

  of(secret, salt, bytes) {
    const name = JSON.stringify([secret, salt, bytes]);
    let key = this.#derived.get(name);
    if (!key) {
      const info = `Auth.js Generated Encryption Key (${salt})`;
      key = new Uint8Array(hkdfSync('sha256', secret, salt, info, bytes));
      this.#derived.set(name, key);
    }
    return key;
  }
}

function json(bytes) {
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * The claims of a token, whose times are not checked here.
 *
 * @param {string} token
 * @param {string[]} secrets tried in turn
 * @param {string} salt the cookie's name
 * @param {Keys} keys
 * @returns {Promise<object | null>} null for what none of the secrets has sealed
 */
async function openToken(token, secrets, salt, keys) {
  const { compactDecrypt } = await loadJose();
  for (const secret of secrets) {
    const keyFor = ({ enc, zip }) => {
      // Auth.js compresses nothing, and what is compressed may be a thousand times as long once it is not.
      if (zip !== undefined) throw new TypeError('a session token is not compressed');
      return keys.of(secret, salt, KEY_BYTES[enc]);
    };
    try {
      const { plaintext } = await compactDecrypt(token, keyFor, ACCEPTED);
      return json(plaintext);
    } catch {
      // Not sealed with this secret, or no such token: jose says so by throwing.
    }
  }
  return null;
}

module.exports = { Keys, loadJose, openToken };
