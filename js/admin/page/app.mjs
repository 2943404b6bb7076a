// Ties the page together: asks, keeps what came, shows the view that the address names, and says how all is.
import { Actions } from './actions.mjs';
import { Dialog } from './dialog.mjs';
import { h, mark, refill, show, write } from './dom.mjs';
import { age, timeOfDay, visible } from './format.mjs';
import { Inside } from './inside.mjs';
import { place } from './links.mjs';
import { Connections, Documents, Events, Metrics } from './lists.mjs';
import { Overview } from './overview.mjs';
import { Out, Pull } from './pull.mjs';
import { Series } from './series.mjs';

const VIEWS = {
  overview: Overview,
  documents: Documents,
  connections: Connections,
  events: Events,
  metrics: Metrics,
  document: Inside,
};
const IN_MENU = Object.keys(VIEWS).filter((name) => name !== 'document');

const by = (id) => document.getElementById(id);
const parts = {
  status: by('status'),
  reason: by('reason'),
  pace: by('pace'),
  pause: by('pause'),
  name: by('name'),
  main: by('main'),
  banner: by('banner'),
  said: by('said'),
};
const version = document.documentElement.dataset.version;

const series = new Series();
const dialog = new Dialog();
document.body.append(dialog.element);
/** The server's time of the newest answer: ages are told by its clock alone. */
let at = Date.now();
let heardAt = 0;
let fault;

keepOverReloads();

const actions = new Actions(dialog, async (action) => {
  const response = await reach(location.pathname, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(action),
    redirect: 'manual',
    signal: AbortSignal.timeout(30_000),
  });
  const answer = await answerOf(response);
  pull.now();
  return answer.result;
});

const views = new Map();
let shown;
let asked;

function go() {
  const { view, query } = place(location.hash, Object.keys(VIEWS));
  if (!views.has(view)) views.set(view, new VIEWS[view]({ series, actions, now: () => at }));
  const next = views.get(view);
  asked = new URLSearchParams({ data: view, ...next.query(query) });
  for (const name of IN_MENU) {
    const isHere = name === view || (name === 'documents' && view === 'document');
    mark(by(`to-${name}`), 'aria-current', isHere ? 'page' : undefined);
  }
  if (next !== shown) {
    const isFirst = shown === undefined;
    shown = next;
    parts.main.replaceChildren(next.element);
    if (!isFirst) {
      parts.main.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }
  tell();
  pull.now();
}

async function ask(signal) {
  const headers = { accept: 'application/json' };
  return answerOf(await reach(`${location.pathname}?${asked}`, { signal, redirect: 'manual', headers }));
}

/** As `fetch`, in whose words a server that is not there is a TypeError. */
async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (error instanceof TypeError) throw new Error('no connection came about', { cause: error });
    throw error;
  }
}

/** What came, or an error with words for why it is not what was asked for. */
async function answerOf(response) {
  if (response.type === 'opaqueredirect' || response.status === 401)
    throw new Out('Your session has ended. Sign in again.');
  const isJson = response.headers.get('content-type')?.startsWith('application/json');
  const answer = isJson ? await response.json() : {};
  if (response.ok && isJson) return answer;
  if (response.status === 403 && answer.code === 'FORBIDDEN')
    throw new Out('You may not see this page any more. Sign in again.');
  throw new Error(answer.error ?? `The server answered ${response.status}.`);
}

function heard(answer, error) {
  fault = error;
  if (answer) {
    ({ at } = answer);
    heardAt = performance.now();
    if (answer.summary) series.add(answer.at, answer.summary);
    shown.update(answer);
    write(parts.name, answer.name ? `Signed in as ${visible(answer.name)}` : '');
  }
  tell(answer);
}

let newest;

function tell(answer) {
  newest = answer ?? newest;
  const [tone, words] = condition();
  // So that a tab among others says whether it should be looked at.
  document.title = `${tone === 'warn' || tone === 'bad' ? `${words}: ` : ''}${shown.title} · Hub`;
  document.documentElement.dataset.tone = tone;
  if (parts.status.textContent !== words) {
    // The one thing that is read out by itself: that the hub has become better or worse.
    if (parts.status.textContent !== '') write(parts.said, words);
    write(parts.status, words);
  }
  const banner = bannerOf();
  refill(parts.banner, banner, () =>
    banner ? [h('p', {}, banner.text), banner.button && reload(banner.button)].filter(Boolean) : [],
  );
  show(parts.banner, Boolean(banner));
  mark(parts.banner, 'class', banner && `banner tone-${banner.tone}`);
  pace();
}

function condition() {
  if (pull.state === 'out') return ['bad', 'Signed out'];
  if (pull.state === 'away') return ['bad', 'No answer'];
  if (!newest) return ['soft', 'Asking'];
  const { live, ready } = newest.health;
  if (!newest.isRunning) return ['bad', 'Not running'];
  if (!live) return ['bad', 'Stuck'];
  return ready ? ['good', 'Ready'] : ['warn', 'Not ready'];
}

function bannerOf() {
  if (pull.state === 'out') return { tone: 'bad', text: fault?.message ?? '', button: 'Load again' };
  if (pull.state === 'away') {
    const last = heardAt > 0 ? ` What you see is from ${timeOfDay(at)}.` : '';
    return {
      tone: 'bad',
      text: `The server does not answer: ${fault?.message ?? 'the connection failed'}.${last}`.replace('..', '.'),
    };
  }
  if (newest?.fault) return { tone: 'bad', text: `${newest.fault.error} (${newest.fault.code})` };
  const reasons = newest?.health.reasons ?? [];
  if (reasons.length > 0)
    return { tone: newest.health.live && newest.isRunning ? 'warn' : 'bad', text: `Not ready: ${reasons.join('; ')}.` };
  if (newest && newest.version !== version)
    return { tone: 'warn', text: 'There is a newer version of this page.', button: 'Load it' };
  return undefined;
}

/** A page that is loaded again goes on with the plots it had. */
function keepOverReloads() {
  const key = `hub-admin-${version}`;
  try {
    for (const { at: then, ...kept } of JSON.parse(sessionStorage.getItem(key) ?? '[]')) series.add(then, kept);
    addEventListener('pagehide', () => sessionStorage.setItem(key, JSON.stringify(series.kept)));
  } catch {
    // Storage may be closed to the page: then its plots begin anew.
  }
}

const reload = (words) => h('button', { type: 'button', onclick: () => location.reload() }, words);

/** How fresh it is. */
function pace() {
  const seconds = Math.max(0, Math.round((pull.nextAt - performance.now()) / 1000));
  const words = {
    live: `Live, every ${age(Math.round(pull.paceMs / 1000) * 1000)}`,
    paused: `Paused at ${timeOfDay(at)}`,
    hidden: 'Waiting until you look',
    away: `Asking again in ${seconds} s`,
    out: 'Stopped',
  };
  write(parts.pace, words[pull.state]);
  write(parts.pause, pull.state === 'paused' ? 'Go on' : 'Pause');
  show(parts.pause, ['live', 'paused'].includes(pull.state));
}

const pull = new Pull(ask, heard);
by('skip').addEventListener('click', (event) => {
  // Its address would be taken for a view.
  event.preventDefault();
  parts.main.focus();
});
parts.pause.addEventListener('click', () => pull.pause(pull.state !== 'paused'));
addEventListener('hashchange', go);
setInterval(() => document.hidden || pace(), 1000);
go();
