import type { FabricPeer } from '@captify-io/hub/prosemirror';
import styles from '@/components/remote-cursors.module.css';
import { colorNamed, colorOf } from './identity';

/** Somebody else's caret, as the text page draws it, too. */
export function caretOf({ userName, userColor }: FabricPeer): HTMLElement {
  return drawCaret(userName, colorOf(colorNamed(userColor)));
}

export function drawCaret(name: string, color: string): HTMLElement {
  const caret = document.createElement('span');
  caret.className = styles.caret ?? '';
  caret.dataset.remoteCaret = name;
  caret.style.setProperty('--peer', color);
  caret.ariaHidden = 'true';
  const label = caret.appendChild(document.createElement('span'));
  label.className = styles.label ?? '';
  label.textContent = name;
  return caret;
}
