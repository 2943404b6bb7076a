// Other people's cursors and selections.
import { Decoration, DecorationSet } from 'prosemirror-view';
import { fabricKey } from './state.mjs';

/** A colour is another client's word, and ends up in a style: what could be more than a colour is none. */
const COLOR = /^(#[\da-f]{3,8}|[a-z]{1,30}|(rgb|hsl)a?\([\d\s.,%/deg]{1,50}\))$/i;
const FALLBACK = '#5b6472';

export const colorOf = ({ userColor }) => (COLOR.test(userColor) ? userColor : FALLBACK);

/** A bar with a name on it, which takes no room in the line. */
function bar(peer) {
  const element = document.createElement('span');
  element.className = 'fabric-cursor';
  const color = colorOf(peer);
  element.style.cssText =
    'position:relative;margin:0 -1px;border-left:2px solid;pointer-events:none;user-select:none;word-break:normal';
  element.style.borderColor = color;
  const name = element.appendChild(document.createElement('span'));
  name.className = 'fabric-cursor-name';
  name.textContent = peer.userName;
  name.style.cssText =
    'position:absolute;left:-2px;bottom:100%;padding:0 4px;border-radius:3px 3px 3px 0;color:#fff;font:600 11px/1.5 system-ui,sans-serif;white-space:nowrap';
  name.style.background = color;
  return element;
}

function decorationsOf(peer, size, cursor) {
  const [anchor, head] = [peer.anchor, peer.head].map((at) => Math.min(at, size));
  const key = JSON.stringify([peer.clientID, peer.userName, peer.userColor]);
  const decorations = [Decoration.widget(head, () => cursor(peer), { key, side: -1, ignoreSelection: true })];
  if (anchor !== head) {
    const style = `background-color: color-mix(in srgb, ${colorOf(peer)} 25%, transparent)`;
    const attributes = { class: 'fabric-selection', style };
    decorations.push(Decoration.inline(Math.min(anchor, head), Math.max(anchor, head), attributes));
  }
  return decorations;
}

export function cursorDecorations(state, cursor = bar) {
  const peers = [...fabricKey.getState(state).peers.values()];
  if (peers.length === 0) return DecorationSet.empty;
  return DecorationSet.create(
    state.doc,
    peers.flatMap((peer) => decorationsOf(peer, state.doc.content.size, cursor)),
  );
}
