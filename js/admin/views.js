'use strict';

// What the page asks for, each time in one answer: how the hub is, its numbers, and what the open view shows.

const { VERSION } = require('./assets.js');
const { runningHub } = require('../shared/global-hub.js');
const { summary } = require('./summary.js');

/** Rows of the short lists of the overview. */
const FEW = { limit: 6 };
/** Members that the inside of a document shows: those for whom most waits. Its connections as a list have all. */
const MAX_MEMBERS = 200;

const NOT_RUNNING = {
  live: true,
  ready: false,
  reasons: ['no hub runs in this process: the app is started by server.mjs, not by next start'],
};

const VIEWS = {
  async overview(hub) {
    const [documents, unsaved, slowest, slow] = await Promise.all([
      hub.listDocuments({ ...FEW, sort: 'members' }),
      hub.listDocuments({ limit: 1, sort: 'unsaved' }),
      hub.connections({ ...FEW, sort: 'waiting' }),
      hub.connections({ limit: 1, filter: { slow: true } }),
    ]);
    return { documents, unsaved, slowest, slow: slow.total, events: hub.securityEvents(FEW) };
  },
  connections: (hub, query) => hub.connections(listOptions(query)),
  documents: (hub, query) => hub.listDocuments(listOptions(query)),
  async document(hub, query) {
    const found = await hub.inspectDocument(query.get('id') ?? '');
    if (!found) return { document: null };
    const { memberList, ...document } = found;
    const bySize = memberList.toSorted((a, b) => b.waitingBytes - a.waitingBytes);
    return { document, members: bySize.slice(0, MAX_MEMBERS) };
  },
  events: (hub) => ({ events: hub.securityEvents({ limit: 1000 }) }),
  metrics: (hub) => ({ metrics: hub.metrics() }),
};

/** Texts as they are, numbers as numbers; what is empty is not asked for. */
function listOptions(query) {
  const filter = {};
  for (const name of ['user', 'document', 'address', 'path', 'kind']) {
    if (query.get(name)) filter[name] = query.get(name);
  }
  if (query.get('slow') === '1') filter.slow = true;
  if (query.get('olderThanMs')) filter.olderThanMs = Number(query.get('olderThanMs'));
  const options = { filter };
  if (query.get('limit')) options.limit = Number(query.get('limit'));
  if (query.get('sort')) options.sort = query.get('sort');
  return options;
}

/**
 * @param {string} name of the view
 * @param {URLSearchParams} query what it is asked with
 * @returns {Promise<object | undefined>} undefined where there is no such view. What the hub refuses is told in `fault`,
 *   beside how the hub is.
 */
async function view(name, query) {
  if (!Object.hasOwn(VIEWS, name)) return undefined;
  const hub = runningHub();
  const answer = {
    at: Date.now(),
    version: VERSION,
    isRunning: Boolean(hub),
    health: hub ? hub.health() : NOT_RUNNING,
  };
  if (!hub) return answer;
  try {
    const shown = await VIEWS[name](hub, query);
    return { ...answer, summary: summary(hub.metrics()), processes: processesOf(hub), shown };
  } catch (error) {
    if (typeof error?.code !== 'string') throw error;
    return { ...answer, fault: { code: error.code, error: error.message } };
  }
}

/** The processes that are one hub and what they hold together; undefined where there is one. */
function processesOf(hub) {
  const { processes, connections, documents } = hub.clusterCounts();
  if (processes < 2) return undefined;
  return { processes, connections, documents: documents.size, list: hub.processes() };
}

module.exports = { view };
