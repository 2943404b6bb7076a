// How long what is typed waits until it is confirmed, where many type in one document: real prosemirror-collab editors over
// real sockets, each 5 characters a second, behind lines that take 25 ms one way, or with every fourth at 100 ms.
//
//   node bench/typists.mjs [--editors 5,20,50] [--seconds 30] [--url ws://host:port] [--json FILE]
//
// Without a URL the server is the authority in Node with plain refusal (control/steps.mjs), in a process of its own.
// What is still not confirmed in the end counts as it has waited by then.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { schema } from 'prosemirror-schema-basic';
import { EditorState } from 'prosemirror-state';
import WebSocket from 'ws';
import { FabricClient } from '../js/client.js';
import { CollabSession, fabricCollab, fabricStatus } from '../js/prosemirror.mjs';
import { bench } from './lib/paths.mjs';

const NEAR_MS = 25;
const FAR_MS = 100;
const BETWEEN_MS = 200;

/** A socket on a line that takes its time both ways, and keeps the order. */
function lineOf(oneWayMs) {
  return class {
    #socket;

    constructor(url) {
      this.#socket = new WebSocket(url);
      this.#socket.onmessage = ({ data }) => setTimeout(() => this.onmessage?.({ data }), oneWayMs);
      this.#socket.onclose = (event) => this.onclose?.(event);
      this.#socket.onerror = (event) => this.onerror?.(event);
    }

    send(text) {
      setTimeout(() => this.#socket.readyState === WebSocket.OPEN && this.#socket.send(text), oneWayMs);
    }

    close(code) {
      this.#socket.close(code);
    }
  };
}

class Typist {
  /** When each character was typed that is not confirmed. */
  waiting = [];
  waits = [];
  refusals = 0;

  constructor(url, documentId, index, oneWayMs) {
    const options = { url: `${url}/ws/fabric`, documentId, clientID: `typist-${index}`, WebSocket: lineOf(oneWayMs) };
    this.client = new FabricClient(options);
    this.client.on('message', ({ code }) => (this.refusals += code === 'VERSION_MISMATCH'));
    this.state = EditorState.create({ schema, plugins: fabricCollab(this.client) });
    this.live = new Promise((onLive) => (this.session = new CollabSession(this, this.client, { onLive })));
    this.session.start();
  }

  dispatch = (transaction) => {
    this.state = this.state.apply(transaction);
    const { unconfirmed } = fabricStatus(this.state);
    // A character is a step, and nobody deletes: fewer steps that wait are so many that were confirmed.
    for (const at of this.waiting.splice(0, this.waiting.length - unconfirmed)) this.waits.push(performance.now() - at);
  };

  async type(until) {
    await delay(Math.random() * BETWEEN_MS);
    while (performance.now() < until) {
      this.waiting.push(performance.now());
      const end = this.state.doc.content.size - 1;
      this.dispatch(this.state.tr.insertText('x', 1 + Math.floor(Math.random() * end)));
      this.session.update();
      await delay(BETWEEN_MS * (0.5 + Math.random()));
    }
    const now = performance.now();
    this.waits.push(...this.waiting.map((at) => now - at));
    this.session.stop();
    this.client.close();
  }
}

async function measure(url, count, isUnequal, seconds) {
  const oneWay = (index) => (isUnequal && index % 4 === 0 ? FAR_MS : NEAR_MS);
  const documentId = `typists-${count}-${isUnequal}-${process.pid}`;
  const typists = Array.from({ length: count }, (_, index) => new Typist(url, documentId, index, oneWay(index)));
  await Promise.all(typists.map(({ live }) => live));
  const lag = monitorEventLoopDelay({ resolution: 5 });
  lag.enable();
  const end = performance.now() + seconds * 1000;
  await Promise.all(typists.map((typist) => typist.type(end)));
  const waits = typists.flatMap((typist) => typist.waits).sort((a, b) => a - b);
  const at = (share) => Math.round(waits[Math.min(waits.length - 1, Math.floor(waits.length * share))]);
  return {
    editors: count,
    'one way': isUnequal ? `${NEAR_MS} ms, every fourth ${FAR_MS} ms` : `${NEAR_MS} ms`,
    characters: waits.length,
    p50: at(0.5),
    p99: at(0.99),
    longest: at(1),
    'refusals/s': Math.round(typists.reduce((sum, { refusals }) => sum + refusals, 0) / seconds),
    'p99 of this loop': Math.round(lag.percentile(99) / 1e6),
  };
}

async function startControl() {
  const child = spawn(process.execPath, [join(bench, 'control/steps.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /listening on (\S+:\d+)/.exec(line);
    if (found) return { url: `ws://${found[1]}`, stop: () => child.kill('SIGKILL') };
  }
  throw new Error('the server did not start');
}

const { values } = parseArgs({
  options: {
    editors: { type: 'string', default: '5,20,50' },
    seconds: { type: 'string', default: '30' },
    url: { type: 'string' },
    json: { type: 'string' },
  },
});

const rows = [];
for (const count of values.editors.split(',').map(Number)) {
  for (const isUnequal of [false, true]) {
    const server = values.url ? { url: values.url, stop() {} } : await startControl();
    rows.push(await measure(server.url, count, isUnequal, Number(values.seconds)));
    server.stop();
    console.error(JSON.stringify(rows.at(-1)));
  }
}
console.table(rows);
if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`);
