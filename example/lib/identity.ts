/** Who sits at a window. Made up for the example; a real app takes it from the session. */
export interface Identity {
  name: string;
  color: PeerColor;
}

/** Names of colours: each has a value for light and one for dark in `globals.css`. */
export const PEER_COLORS = ['violet', 'teal', 'rose', 'amber', 'blue', 'green', 'plum', 'slate'] as const;
export type PeerColor = (typeof PEER_COLORS)[number];

/** What editors are told that know no names of this app: the value for light. */
const PLAIN_COLORS: Record<PeerColor, string> = {
  violet: '#6741d9',
  teal: '#0b7285',
  rose: '#c2255c',
  amber: '#a04f00',
  blue: '#1864ab',
  green: '#2b7335',
  plum: '#9329ab',
  slate: '#495057',
};

export const LONGEST_NAME = 24;

const NAMES = [
  'Ada',
  'Amara',
  'Chen',
  'Dara',
  'Elif',
  'Farah',
  'Grace',
  'Hedy',
  'Ines',
  'Jonas',
  'Kofi',
  'Linus',
  'Maya',
  'Noor',
  'Omar',
  'Priya',
  'Quinn',
  'Radia',
  'Sofia',
  'Tomas',
  'Uma',
  'Vera',
  'Wren',
  'Yuki',
];

const KEY = 'fabric-example:identity';

/** A window keeps its identity across reloads; another window is another person. */
export function loadIdentity(): Identity {
  try {
    const saved: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
    const identity = identityFrom(saved);
    if (identity) return identity;
  } catch {
    // Storage may be closed to this page, or hold something else: a new identity will do.
  }
  return { name: pick(NAMES), color: pick(PEER_COLORS) };
}

export function saveIdentity(identity: Identity): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(identity));
  } catch {
    // Then it is forgotten with the page.
  }
}

/** An identity out of what another window, or an earlier version of this page, has written. */
export function identityFrom(value: unknown): Identity | null {
  if (typeof value !== 'object' || value === null) return null;
  const { name, color } = value as Record<string, unknown>;
  if (typeof name !== 'string' || name.trim() === '') return null;
  return { name: name.slice(0, LONGEST_NAME), color: PEER_COLORS.find((known) => known === color) ?? 'slate' };
}

/** The CSS custom property that holds a colour. */
export function colorOf(color: PeerColor): string {
  return `var(--peer-${color})`;
}

/** The same as one plain colour. */
export function plainColorOf(color: PeerColor): string {
  return PLAIN_COLORS[color];
}

/** The name of a plain colour, which is another client's word. */
export function colorNamed(plain: string): PeerColor {
  return PEER_COLORS.find((color) => PLAIN_COLORS[color] === plain) ?? 'slate';
}

/** A colour of which nobody else is, for who shares one with a peer that goes before; null where all is well or none is free. */
export function otherColor(self: Identity, before: readonly Identity[], all: readonly Identity[]): PeerColor | null {
  if (before.every(({ color }) => color !== self.color)) return null;
  return PEER_COLORS.find((color) => all.every((peer) => peer.color !== color)) ?? null;
}

function pick<T>(values: readonly T[]): T {
  return values[Math.floor(Math.random() * values.length)] as T;
}
