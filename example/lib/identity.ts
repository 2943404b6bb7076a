/** Who sits at a window. Made up for the example; a real app takes it from the session. */
export interface Identity {
  name: string;
  color: PeerColor;
}

/** Names of colours, not values: each has one for light and one for dark in `globals.css`. */
export const PEER_COLORS = ['violet', 'teal', 'rose', 'amber', 'blue', 'green', 'plum', 'slate'] as const;
export type PeerColor = (typeof PEER_COLORS)[number];

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

function pick<T>(values: readonly T[]): T {
  return values[Math.floor(Math.random() * values.length)] as T;
}
