// A seeded run of many editors of one document: they write, their connections are cut, the server is killed, and in the end
// all show one document, which is what its steps make of the first, with nothing in it twice.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { Step } from 'prosemirror-transform';
import { fabricKey } from '../../js/prosemirror/state.mjs';
import { ChaosProxy, CUTS } from './chaos-proxy.mjs';
import { Editor, schema } from './editors.mjs';
import { uniqueId } from './hub-server.mjs';
import { until } from './processes.mjs';
import { randomEdit, randomNumbers } from './random-edits.mjs';

const WORD = /\(\d+\.\d+\)/g;
/** A silent line is found out soon, and nobody sits out a long wait. */
const HASTE = { firstWaitMs: 10, longestWaitMs: 100, silenceMs: 150, answerTimeoutMs: 800 };
const SETTLE_MS = 20_000;

const wordsOf = (steps) => JSON.stringify(steps).match(WORD) ?? [];
const pendingOf = (state) =>
  wordsOf(
    fabricKey
      .get(state)
      .spec.collab.getState(state)
      .unconfirmed.map(({ step }) => step),
  );

/** What all editors were sent: for a version always the same step. */
class Log {
  steps = [];

  hear({ type, version, steps }) {
    if (type !== 'steps') return;
    steps.forEach((step, index) => {
      const text = JSON.stringify(step);
      const known = (this.steps[version + index] ??= text);
      assert.equal(text, known, `two steps lead on from version ${version + index}`);
    });
  }

  /** How often each word was put in. */
  counts() {
    const counts = new Map();
    for (const word of wordsOf(this.steps.map((text) => JSON.parse(text))))
      counts.set(word, (counts.get(word) ?? 0) + 1);
    return counts;
  }

  /** The document that the steps make of an empty one, which the server begins with. */
  replay(first) {
    return this.steps.reduce((doc, text, index) => {
      const { doc: next, failed } = Step.fromJSON(schema, JSON.parse(text)).apply(doc);
      assert.ok(next, `the step from version ${index} fails: ${failed}`);
      return next;
    }, first);
  }
}

/** An editor that keeps account of what became of its words. */
class Writer extends Editor {
  wrote = [];
  confirmed = [];
  /** Left when steps of others came: they had no place any more, or were confirmed in the same message. */
  left = [];
  faults = [];

  constructor(base, documentId, log) {
    super(base, documentId, HASTE);
    this.client.on('message', (message) => {
      try {
        log.hear(message);
      } catch (error) {
        this.faults.push(error);
      }
    });
    let pending = [];
    this.onTransaction = (transaction) => {
      const now = pendingOf(this.state);
      const gone = pending.filter((word) => !now.includes(word));
      (transaction.docChanged ? this.left : this.confirmed).push(...gone);
      pending = now;
    };
  }
}

/** Cuts most connections sooner or later, each in its own way. */
function plans(random, chaos) {
  return () => {
    if (!chaos.isOn || random() < 0.3) return {};
    const how = CUTS[Math.floor(random() * CUTS.length)];
    const kind = random();
    if (kind < 0.4) return { how, afterMs: 50 + random() * 1000 };
    return { how, [kind < 0.7 ? 'afterUp' : 'afterDown']: Math.floor(200 + random() * 8000) };
  };
}

/**
 * @param {object} run
 * @param {number} run.seed
 * @param {() => Promise<object>} run.startProcess of support/authority.mjs
 * @param {number} [run.count] editors
 * @param {number} [run.edits] of each
 * @param {number} [run.kills] of the process
 * @param {number} [run.agentEdits] by the server's own door
 * @returns `{ seed, editors, words, steps, kills, cuts, connections, dropped, unanswered }`
 * @throws where something is not as promised, or does not come to rest
 */
export async function converge({ seed, startProcess, count = 20, edits = 40, kills = 3, agentEdits = 20 }) {
  const random = randomNumbers(seed);
  const chaos = { isOn: true };
  const server = await startProcess();
  const proxy = await ChaosProxy.start(() => server.port, plans(random, chaos));
  const log = new Log();
  const documentId = uniqueId();
  const writers = Array.from({ length: count }, () => new Writer(proxy.base, documentId, log));
  const observer = new Writer(proxy.base, documentId, log);
  let first;
  try {
    await Promise.all([...writers, observer].map((writer) => writer.isSettled()));
    first = observer.state.doc;
    const agent = { confirmed: [], unanswered: [] };
    await Promise.all([
      ...writers.map((writer, index) => write(writer, index, edits, random)),
      writeAsAgent(server, observer, documentId, agent, count, agentEdits, random),
      killAgainAndAgain(server, kills, random),
    ]);
    chaos.isOn = false;
    // Some still have a connection that is to be cut; a new one is not.
    proxy.cutAll('RST');
    const last = await submitUntilTaken(server, observer, documentId, `(${count}.${agentEdits})`, random, agent);
    await comeToRest([...writers, observer], last);
    return check({ seed, log, first, writers, observer, agent, proxy, kills });
  } catch (error) {
    error.message = `seed ${seed}: ${error.message}`;
    throw error;
  } finally {
    for (const writer of [...writers, observer]) writer.close();
    await proxy.close();
    await server.close();
  }
}

async function write(writer, index, edits, random) {
  for (let number = 0; number < edits; number += 1) {
    await delay(random() * 60);
    const word = `(${index}.${number})`;
    const edit = randomEdit(writer.state, random, word);
    if (edit === null) continue;
    if (edit.wrote) writer.wrote.push(word);
    writer.do((_, dispatch) => dispatch(edit.transaction));
  }
}

async function writeAsAgent(server, observer, documentId, agent, index, edits, random) {
  for (let number = 0; number < edits; number += 1) {
    await delay(random() * 100);
    await submitUntilTaken(server, observer, documentId, `(${index}.${number})`, random, agent);
  }
}

/** Has a word put in by the server's own door; answers the version after it, or undefined where the server gave no answer. */
async function submitUntilTaken(server, observer, documentId, word, random, agent) {
  for (;;) {
    const { transaction } = randomEdit(observer.state, () => random() * 0.6, word);
    const steps = transaction.steps.map((step) => step.toJSON());
    const batch = { version: observer.status.version, steps, clientID: 'agent' };
    const answer = await server.submit(documentId, batch).catch(() => undefined);
    if (answer === undefined) agent.unanswered.push(word);
    else if (answer !== null) agent.confirmed.push(word);
    if (answer !== null) return answer?.version;
    await delay(5);
  }
}

async function killAgainAndAgain(server, kills, random) {
  for (let kill = 0; kill < kills; kill += 1) {
    await delay(200 + random() * 600);
    await server.kill();
    await server.restart();
  }
}

/** Waits until nobody has anything to send, and everybody has seen the version that nobody knew before. */
async function comeToRest(writers, last) {
  const isAtRest = ({ status }) => ['stored', 'saved'].includes(status.state) && status.version >= last;
  const what = () => JSON.stringify(writers.map(({ status, errors }) => [status, String(errors.at(-1))]));
  const areOne = () =>
    writers.every((writer) => isAtRest(writer) && writer.status.version === writers[0].status.version);
  await until(() => `rest: ${what()}`, areOne, { timeoutMs: SETTLE_MS });
}

function check({ seed, log, first, writers, observer, agent, proxy, kills }) {
  const faults = [...writers, observer].flatMap((writer) => [...writer.faults, ...writer.errors]);
  if (faults.length > 0) throw faults[0];
  for (const writer of writers)
    assert.ok(writer.state.doc.eq(observer.state.doc), 'the editors show different documents');
  assert.equal(log.steps.length, observer.status.version, 'every version was seen');
  assert.ok(log.replay(first).eq(observer.state.doc), 'the document is what the steps make of the first');

  const counts = log.counts();
  for (const [word, times] of counts) assert.equal(times, 1, `${word} was put in ${times} times`);
  for (const word of [...writers.flatMap(({ confirmed }) => confirmed), ...agent.confirmed])
    assert.ok(counts.has(word), `${word} was confirmed and is gone`);
  let dropped = 0;
  for (const { wrote, confirmed, left } of writers) {
    for (const word of wrote.filter((each) => !counts.has(each))) {
      assert.ok(left.includes(word) && !confirmed.includes(word), `${word} vanished`);
      dropped += 1;
    }
  }
  const { connections, FIN, RST, silence } = proxy.done;
  const words = writers.reduce((sum, { wrote }) => sum + wrote.length, 0);
  const unanswered = agent.unanswered.filter((word) => counts.has(word)).length;
  const cuts = { FIN, RST, silence };
  return {
    seed,
    editors: writers.length,
    words,
    steps: log.steps.length,
    kills,
    cuts,
    connections,
    dropped,
    unanswered,
  };
}
