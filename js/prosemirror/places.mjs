// Where others are: a position belongs to the version it was seen at, and is brought to what this editor shows.
import { sendableSteps } from 'prosemirror-collab';

const mapsOfWaiting = (state) => sendableSteps(state)?.steps.map((step) => step.getMap()) ?? [];

/**
 * The selection in the document without the steps that wait, which is the one that others may know. `isExact` where they get
 * it right by themselves once these steps have come.
 */
export function confirmedSelection(state) {
  const maps = mapsOfWaiting(state);
  const back = (position) => maps.reduceRight((at, map) => map.invert().map(at, -1), position);
  const forth = (position) => maps.reduce((at, map) => map.map(at, 1), position);
  const { anchor, head } = state.selection;
  const selection = { anchor: back(anchor), head: back(head) };
  return { selection, isExact: forth(selection.anchor) === anchor && forth(selection.head) === head };
}

/** Steps whose maps are kept, for positions of those who have not seen them yet. */
const MOST_MAPS = 500;
/** Of names and ids, which are others' words. */
const LONGEST = 200;

const text = (value) => (typeof value === 'string' ? value.slice(0, LONGEST) : '');
const isPosition = (value) => Number.isSafeInteger(value) && value >= 0;

export class Places {
  /** Maps of the newest steps, the last of which has led to `#until`. */
  #maps = [];
  #until = 0;
  /** clientID to the newest of each that is not placed yet. */
  #waiting = new Map();

  /** Steps that lead on from `version`. */
  passed(steps, version) {
    this.#until = version + steps.length;
    this.#maps.push(...steps.map((step) => step.getMap()));
    this.#maps.splice(0, this.#maps.length - MOST_MAPS);
  }

  /** After a document that came whole no position of before means anything. */
  forget() {
    this.#maps = [];
  }

  forgetWaiting(clientID) {
    if (clientID === undefined) this.#waiting.clear();
    else this.#waiting.delete(clientID);
  }

  /** What a presence says, or null for one that says nothing. */
  peerOf({ clientID, userId, userName, userColor, selection, version }) {
    const { anchor, head } = selection ?? {};
    if (typeof clientID !== 'string' || !isPosition(anchor) || !isPosition(head)) return null;
    const names = { userId: text(userId), userName: text(userName), userColor: text(userColor) };
    return { clientID, ...names, anchor, head, version: isPosition(version) ? version : null };
  }

  wait(peer) {
    this.#waiting.set(peer.clientID, peer);
  }

  /** Those whose version is there by now, with positions in `state`. */
  due(state, current) {
    const placed = [];
    for (const [id, { version, ...peer }] of this.#waiting) {
      if (current === null || version > current) continue;
      this.#waiting.delete(id);
      const place = (position) => this.#locate(state, version ?? current, position);
      placed.push({ ...peer, anchor: place(peer.anchor), head: place(peer.head) });
    }
    return placed;
  }

  #locate(state, version, position) {
    const missing = this.#until - version;
    const maps = missing > 0 && missing <= this.#maps.length ? this.#maps.slice(-missing) : [];
    const located = [...maps, ...mapsOfWaiting(state)].reduce((at, map) => map.map(at, -1), position);
    return Math.min(located, state.doc.content.size);
  }
}
