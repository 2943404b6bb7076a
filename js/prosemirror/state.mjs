// What an editor's state knows of its document at the hub. It is in the state, so that it goes wherever the document goes.
import { sendableSteps } from 'prosemirror-collab';
import { Plugin, PluginKey } from 'prosemirror-state';

export const fabricKey = new PluginKey('fabric');

const BEGINNING = {
  /** Of the document without the steps that are not confirmed; null before it was loaded. */
  version: null,
  /** Up to where the app has saved it, as far as the hub has said. */
  savedVersion: null,
  /** 'connecting', 'live', 'offline' or 'closed' */
  link: 'connecting',
  reason: '',
  isReadOnly: false,
  /** The code of what stopped it. */
  fault: null,
  /** How often this editor's own user has changed the document or the selection. */
  touched: 0,
  /** Who this editor's user is, where that was said since the editor was made. */
  user: null,
  /** clientID to `{ clientID, userId, userName, userColor, anchor, head }`. */
  peers: new Map(),
};

const AUTHORS = `${fabricKey.key}authors`;

/** Says whose steps a transaction has. */
export const by = (tr, authors) => tr.setMeta(AUTHORS, authors.map(String));

/** What the session has to say; a transaction without it is the app's or its user's. */
export const change = (tr, fields) => tr.setMeta(fabricKey, fields).setMeta('addToHistory', false);

function apply(tr, before) {
  const told = tr.getMeta(fabricKey);
  const authors = tr.getMeta(AUTHORS) ?? [];
  let after = before;
  if (tr.docChanged && before.peers.size > 0) {
    // Who writes at its own cursor moves it on; what anybody else writes there comes behind it.
    const moved = ([id, peer]) => {
      const bias = authors.includes(id) ? 1 : -1;
      return [id, { ...peer, anchor: tr.mapping.map(peer.anchor, bias), head: tr.mapping.map(peer.head, bias) }];
    };
    after = { ...after, peers: new Map([...before.peers].map(moved)) };
  }
  if (told) return { ...after, ...told };
  return tr.docChanged || tr.selectionSet ? { ...after, touched: after.touched + 1 } : after;
}

/**
 * @param {Plugin} collab prosemirror-collab's, beside which this one stands
 * @param {object} more the rest of the plugin
 */
export const statePlugin = (collab, more) =>
  new Plugin({ ...more, collab, key: fabricKey, state: { init: () => BEGINNING, apply } });

/** See prosemirror.d.mts. */
export const setFabricUser = (view, user) => view.dispatch(change(view.state.tr, { user }));

/** The steps that are not confirmed, each with its inverse. */
export const unconfirmedOf = (state) => fabricKey.get(state).spec.collab.getState(state).unconfirmed;

function nameOf({ fault, link, version, isReadOnly, savedVersion }, unconfirmed) {
  if (link === 'closed') return 'closed';
  if (fault !== null) return 'failed';
  if (version === null) return 'connecting';
  if (link !== 'live') return 'offline';
  if (isReadOnly) return 'readOnly';
  if (unconfirmed > 0) return 'saving';
  return savedVersion !== null && savedVersion >= version ? 'saved' : 'stored';
}

/** See prosemirror.d.mts. */
export function fabricStatus(state) {
  const known = fabricKey.getState(state);
  if (!known) throw new Error('The state has no plugin of fabricCollab');
  const unconfirmed = sendableSteps(state)?.steps.length ?? 0;
  const { version, savedVersion, fault, reason } = known;
  return { state: nameOf(known, unconfirmed), version, savedVersion, unconfirmed, code: fault, reason };
}

/** See prosemirror.d.mts. */
export const fabricPeers = (state) => [...(fabricKey.getState(state)?.peers.values() ?? [])];

export const mayEdit = (state) => !['connecting', 'readOnly', 'failed', 'closed'].includes(fabricStatus(state).state);
