'use strict';

// Opens the encrypted session tokens of Auth.js v5: a compact JWE (RFC 7516) with a key that both sides derive from the
// secret, and one of two content encryptions (RFC 7518, sections 5.2.5 and 5.3).
//
// Done here because the package has no dependencies and must work wherever the app keeps its own; the tests hold it
// against @auth/core itself.

const { createDecipheriv, createHmac, hkdfSync, timingSafeEqual } = require('node:crypto');

const PART = /^[A-Za-z0-9_-]*$/;

const ENCRYPTIONS = {
  'A256CBC-HS512': { keyBytes: 64, ivBytes: 16, tagBytes: 32, open: openCbc },
  A256GCM: { keyBytes: 32, ivBytes: 12, tagBytes: 16, open: openGcm },
};

function openCbc(key, iv, text, tag, aad) {
  // The first half authenticates, the second encrypts; nothing is decrypted that is not authentic.
  const bits = Buffer.alloc(8);
  bits.writeBigUInt64BE(BigInt(aad.length) * 8n);
  const mac = createHmac('sha512', key.subarray(0, 32));
  for (const bytes of [aad, iv, text, bits]) mac.update(bytes);
  if (!timingSafeEqual(mac.digest().subarray(0, 32), tag)) return null;
  const decipher = createDecipheriv('aes-256-cbc', key.subarray(32), iv);
  return Buffer.concat([decipher.update(text), decipher.final()]);
}

function openGcm(key, iv, text, tag, aad) {
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
  decipher.setAAD(aad);
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(text), decipher.final()]);
}

/** Keys are derived once for each secret, salt and length: an upgrade need not pay for it. */
class Keys {
  #derived = new Map();

  of(secret, salt, bytes) {
    const name = JSON.stringify([secret, salt, bytes]);
    let key = this.#derived.get(name);
    if (!key) {
      const info = `Auth.js Generated Encryption Key (${salt})`;
      key = Buffer.from(hkdfSync('sha256', secret, salt, info, bytes));
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
 * @returns {object | null} null for what none of the secrets has sealed
 */
function openToken(token, secrets, salt, keys) {
  const parts = token.split('.');
  if (parts.length !== 5 || parts[1] !== '' || !parts.every((part) => PART.test(part))) return null;
  const [header, , iv, text, tag] = parts.map((part) => Buffer.from(part, 'base64url'));
  const { alg, enc, zip, crit } = json(header) ?? {};
  if (alg !== 'dir' || !Object.hasOwn(ENCRYPTIONS, enc ?? '') || zip !== undefined || crit !== undefined) return null;
  const { keyBytes, ivBytes, tagBytes, open } = ENCRYPTIONS[enc];
  if (iv.length !== ivBytes || tag.length !== tagBytes || (open === openCbc && text.length % 16 !== 0)) return null;
  const aad = Buffer.from(parts[0], 'ascii');
  for (const secret of secrets) {
    try {
      const plain = open(keys.of(secret, salt, keyBytes), iv, text, tag, aad);
      if (plain) return json(plain);
    } catch {
      // Not sealed with this secret: the cipher says so by throwing.
    }
  }
  return null;
}

module.exports = { Keys, openToken };
