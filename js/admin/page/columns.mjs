// Columns of the tables, which several views have.
import { age, bytes, count, moment, visible } from './format.mjs';
import { link } from './links.mjs';

const text = (value) => (value === undefined || value === '' ? '–' : visible(value));
const waiting = ({ waitingBytes, slow }) => ({
  text: bytes(waitingBytes),
  tone: slow ? 'bad' : undefined,
  sub: slow ? 'slow' : undefined,
});

const USER = {
  title: 'User',
  isMain: true,
  cell: ({ userId, clientId }) => ({
    text: text(userId ?? clientId),
    sub: userId && clientId ? visible(clientId) : undefined,
    tone: userId || clientId ? undefined : 'soft',
  }),
};
const DOCUMENT = {
  title: 'Document',
  cell: ({ document }) =>
    document === undefined ? { text: '–' } : { text: text(document), href: link('document', { id: document }) },
};
const ACCESS = { title: 'Access', cell: ({ access }) => ({ text: access ?? '–' }) };
const ADDRESS = { title: 'Address', cell: ({ address }) => ({ text: text(address) }) };
const PATH = { title: 'Path', cell: ({ path }) => ({ text: text(path), tone: 'soft' }) };
const WAITING = { title: 'Waiting', isNumber: true, isBrief: true, sort: 'waiting', cell: waiting };
const MANAGE = {
  title: 'Manage',
  isUnnamed: true,
  cell: ({ userId, clientId, address }) => ({
    button: 'Manage',
    label: `Manage the connection of ${visible(userId ?? clientId ?? address)}`,
  }),
};

/** Times are of the answer, so that a row changes when it is asked for anew. */
const connected = (now) => ({
  title: 'Connected',
  isNumber: true,
  sort: 'newest',
  other: 'oldest',
  order: 'ascending',
  cell: ({ connectedAt }) => ({ text: age(now() - connectedAt) }),
});
const IDLE = { title: 'Idle', isNumber: true, sort: 'idle', cell: ({ idleMs }) => ({ text: age(idleMs) }) };

export const connectionColumns = (now) => [
  USER,
  DOCUMENT,
  ACCESS,
  ADDRESS,
  PATH,
  connected(now),
  IDLE,
  WAITING,
  MANAGE,
];

export const memberColumns = (now) => [
  USER,
  ACCESS,
  ADDRESS,
  { title: 'Age', isNumber: true, cell: ({ connectedAt }) => ({ text: age(now() - connectedAt) }) },
  IDLE,
  { title: 'Position', isNumber: true, cell: ({ position }) => ({ text: count(position) }) },
  { ...WAITING, sort: undefined },
  MANAGE,
];

export const slowestColumns = () => [USER, DOCUMENT, { ...IDLE, sort: undefined }, { ...WAITING, sort: undefined }];

const ID = {
  title: 'Document',
  isMain: true,
  sort: 'id',
  order: 'ascending',
  cell: ({ id }) => ({ text: text(id), href: link('document', { id }) }),
};
const KIND = { title: 'Kind', cell: ({ kind }) => ({ text: kind, isBadge: true }) };
const STATE = { title: 'State', cell: ({ state }) => ({ text: state, tone: state === 'live' ? undefined : 'warn' }) };
const MEMBERS = {
  title: 'Members',
  isNumber: true,
  isBrief: true,
  sort: 'members',
  cell: ({ members }) => ({ text: count(members) }),
};
const ALL_WAITING = {
  title: 'Waiting',
  isNumber: true,
  sort: 'waiting',
  cell: ({ waitingBytes }) => ({ text: bytes(waitingBytes) }),
};
const HISTORY = {
  title: 'History',
  isNumber: true,
  sort: 'history',
  cell: ({ historyBytes }) => ({ text: bytes(historyBytes) }),
};
const VERSION = {
  title: 'Version',
  isNumber: true,
  cell: ({ version, offset }) => ({ text: count(version ?? offset) }),
};
const unsaved = (now) => ({
  title: 'Unsaved for',
  isNumber: true,
  sort: 'unsaved',
  cell: ({ kind, unsavedSince }) => ({
    text: unsavedSince === undefined ? (kind === 'relay' ? '–' : 'saved') : age(now() - unsavedSince),
    tone: unsavedSince === undefined ? 'soft' : now() - unsavedSince > 60_000 ? 'warn' : undefined,
  }),
});

export const documentColumns = (now) => [ID, KIND, STATE, MEMBERS, ALL_WAITING, HISTORY, VERSION, unsaved(now)];

export const busiestColumns = (now) =>
  [ID, KIND, MEMBERS, ALL_WAITING, unsaved(now)].map((column) => ({ ...column, sort: undefined }));

export const eventColumns = () => [
  { title: 'Time', isBrief: true, cell: ({ time }) => ({ text: moment(time) }) },
  { title: 'Event', isMain: true, cell: ({ code }) => ({ text: code, isBadge: true, tone: toneOf(code) }) },
  { title: 'Times', isNumber: true, cell: (event) => ({ text: count(event.count) }) },
  { title: 'By', cell: ({ by }) => ({ text: text(by) }) },
  { title: 'User', cell: ({ user }) => ({ text: text(user) }) },
  {
    title: 'Document',
    cell: ({ document }) =>
      document === undefined ? { text: '–' } : { text: text(document), href: link('document', { id: document }) },
  },
  { title: 'Address', cell: ({ address }) => ({ text: text(address) }) },
  {
    title: 'About',
    cell: ({ hint, origin, host }) => ({
      text: text(hint ?? origin),
      sub: hint && origin ? visible(origin) : host && visible(host),
    }),
  },
];

export const processColumns = (now) => [
  { title: 'Process', isMain: true, cell: ({ host, pid }) => ({ text: `${text(host)}:${pid}` }) },
  { title: 'Connections', isNumber: true, isBrief: true, cell: ({ connections }) => ({ text: count(connections) }) },
  { title: 'Documents', isNumber: true, cell: ({ documents }) => ({ text: count(documents) }) },
  { title: 'Running for', isNumber: true, cell: ({ since }) => ({ text: age(now() - Date.parse(since)) }) },
  { title: 'Version', cell: ({ version }) => ({ text: text(version) }) },
];

/** What an attacker does, and what is only a limit that was met or something that an administrator did. */
function toneOf(code) {
  if (code === 'ADMIN_ACTION') return 'good';
  if (/FORGED|REFUSED|FAILED|BAD_/.test(code)) return 'bad';
  return 'warn';
}
