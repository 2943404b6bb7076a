import * as Y from 'yjs';
import { fromBase64, toBase64 } from './base64.mjs';

/**
 * What a document has, and how that compares with what another one has.
 *
 * It is told as `{ id, stateVector, digest }`. A state vector shows no deletions, so of two documents with the same one
 * the digests differ where their deletions do.
 */
export class Stock {
  #doc;
  #digest = null;
  #lastId = 0;

  constructor(doc) {
    this.#doc = doc;
  }

  /** The document has changed. */
  changed() {
    this.#digest = null;
  }

  /** Ids rise, also over providers that follow each other on one document. */
  take() {
    this.#lastId = Math.max(this.#lastId + 1, Date.now());
    return { id: this.#lastId, stateVector: toBase64(Y.encodeStateVector(this.#doc)), digest: this.digest };
  }

  /** FNV-1a of the document's snapshot, which is its state vector and its deletions in one fixed order. */
  get digest() {
    if (this.#digest !== null) return this.#digest;
    let hash = 0x811c9dc5;
    for (const byte of Y.encodeSnapshot(Y.snapshot(this.#doc))) hash = Math.imul(hash ^ byte, 0x01000193);
    return (this.#digest = hash >>> 0);
  }

  /** Whether the other lacks something of this one. Of two that differ in deletions alone both do. */
  hasMoreThan(other) {
    const theirs = vectorOf(other);
    const ours = this.#vector();
    for (const [client, clock] of ours) if (clock > (theirs.get(client) ?? 0)) return true;
    for (const [client, clock] of theirs) if (clock > (ours.get(client) ?? 0)) return false;
    return other.digest !== this.digest;
  }

  /** Whether this one has all that was inserted into the other. */
  covers(other) {
    return reaches(this.#vector(), vectorOf(other));
  }

  /** The update that brings the other up to date. */
  missingIn(other) {
    return Y.encodeStateAsUpdate(this.#doc, fromBase64(other.stateVector));
  }

  /** The update that says all that the document has. */
  everything() {
    return Y.encodeStateAsUpdate(this.#doc);
  }

  /** What the document has and these updates do not say, or null where they say all of it. */
  missingInUpdates(updates) {
    const known = Y.mergeUpdates(updates);
    const vector = Y.encodeStateVectorFromUpdate(known);
    const missing = Y.encodeStateAsUpdate(this.#doc, vector);
    const snapshot = Y.createSnapshot(Y.decodeUpdate(known).ds, Y.decodeStateVector(vector));
    return Y.snapshotContainsUpdate(snapshot, missing) ? null : missing;
  }

  #vector() {
    return Y.decodeStateVector(Y.encodeStateVector(this.#doc));
  }
}

/** Whether all that was inserted into the second was inserted into the first. */
export const covers = (first, second) => reaches(vectorOf(first), vectorOf(second));

const reaches = (first, second) => [...second].every(([client, clock]) => clock <= (first.get(client) ?? 0));

const vectorOf = ({ stateVector }) => Y.decodeStateVector(fromBase64(stateVector));
