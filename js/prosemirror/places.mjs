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
  /** `{ map, author }` of the newest steps, the last of which has led to `#until`. */
  #passed = [];
  #until = 0;
  /** clientID to the newest of each that is not placed yet. */
  #waiting = new Map();

  /** Steps that lead on from `version`, and the clientID of each. */
  passed(steps, authors, version) {
    this.#until = version + steps.length;
    steps.forEach((step, index) => this.#passed.push({ map: step.getMap(), author: authors[index] }));
    this.#passed.splice(0, this.#passed.length - MOST_MAPS);
  }

  /** After a document that came whole no position of before means anything. */
  forget() {
    this.#passed = [];
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
      const place = (position) => this.#locate(state, version ?? current, position, id);
      placed.push({ ...peer, anchor: place(peer.anchor), head: place(peer.head) });
    }
    return placed;
  }

  #locate(state, version, position, id) {
    const missing = this.#until - version;
    const passed = missing > 0 && missing <= this.#passed.length ? this.#passed.slice(-missing) : [];
    // Who writes at its own cursor moves it on; what others write there comes behind it.
    const seen = passed.reduce((at, { map, author }) => map.map(at, author === id ? 1 : -1), position);
    const shown = mapsOfWaiting(state).reduce((at, map) => map.map(at, -1), seen);
    return Math.min(shown, state.doc.content.size);
  }
}
