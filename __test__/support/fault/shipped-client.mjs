// The client that the package ships, with everything written down that it tells its app.
import WebSocket from 'ws';
import { FabricClient } from '../../../js/client.js';
import { labelOf } from './labels.mjs';

/** What goes over a connection that a failure can be due to: so much of it, newest last. */
const REMEMBERED = 400;

/**
 * A client whose connections are written down.
 *
 * @param of it `isEnded()`, and `reloaded(detail)`, which answers the labels of what may be published or not
 * @returns {FabricClient} with `seen`: the offset of the last message, or where the first would have followed; and `lately()`:
 *   what went to and fro last, counted by type and version
 */
export function connectedClient(
  { documentId, clientID, base, random, isSlowToReturn, patienceMs, log },
  { isEnded, reloaded },
) {
  /** Where the newest connection began, read off the wire. */
  let offered;
  const passed = [];
  const note = (direction, data) => {
    const { type, code, version } = JSON.parse(data.toString());
    passed.push({ at: Date.now(), what: `${direction} ${code ?? type}`, version });
    if (passed.length > REMEMBERED) passed.shift();
  };
  class Tapped extends WebSocket {
    constructor(url) {
      super(url);
      this.on('message', (data) => {
        note('from', data);
        const message = JSON.parse(data.toString());
        if (message.type === 'connected') offered = message;
      });
    }

    send(data, ...more) {
      note('to', data);
      super.send(data, ...more);
    }
  }
  const client = new FabricClient({
    url: `${base}/ws/fabric`,
    documentId,
    clientID,
    WebSocket: Tapped,
    random,
    firstWaitMs: 50,
    longestWaitMs: isSlowToReturn ? 8000 : 500,
    silenceMs: patienceMs / 2,
    answerTimeoutMs: patienceMs / 2,
  });
  client.seen = -1;
  client.lately = () => {
    const counts = {};
    for (const { what, version = '' } of passed) counts[`${what} ${version}`] = (counts[`${what} ${version}`] ?? 0) + 1;
    const newest = Object.entries(counts).slice(-20);
    return `${passed.length} in ${Date.now() - (passed[0]?.at ?? 0)} ms: ${newest.map(([what, count]) => `${count} ${what}`).join(', ')}`;
  };
  const begin = () => {
    client.seen = offered.offset;
    log.began(offered);
  };
  client.on('connected', begin);
  client.on('recovered', ({ from, to }) => log.recovered(from, to));
  client.on('reload', (detail) => {
    const labels = reloaded(detail);
    log.reloaded(detail.reason, { certain: detail.certain, labels });
    begin();
  });
  client.on('message', ({ offset }) => {
    if (offset !== undefined) client.seen = Math.max(client.seen, offset);
  });
  client.on('status', ({ state, code }) => state === 'waiting' && log.closed(code));
  client.on('closed', ({ code }) => isEnded() || log.wrong(`stopped with ${code}`));
  return client;
}

export class ShippedClient {
  #client;
  /** Labels of what is not acknowledged, oldest first. */
  #unacknowledged = [];
  #ended = false;

  constructor({ documentId, kind, clientID, log, ...more }) {
    Object.assign(this, { documentId, kind, clientID, log });
    this.#client = connectedClient(
      { documentId, clientID, log, ...more },
      { isEnded: () => this.#ended, reloaded: (detail) => this.#reloaded(detail) },
    );
    this.#client.on('acknowledged', () => this.#acknowledge(this.#client.unacknowledged));
    this.#client.on('message', (message) => this.#receive(message));
  }

  get unacknowledged() {
    return this.#client.unacknowledged;
  }

  get offset() {
    return this.#client.status.state === 'open' ? this.#client.seen : -1;
  }

  connect() {
    this.#client.connect();
  }

  send(label, size) {
    this.#unacknowledged.push(label);
    if (!this.#client.send('update', { label, pad: 'x'.repeat(size) })) this.log.wrong('a message was not taken');
    if (size % 5 === 0) this.#client.send('awareness', label);
  }

  end() {
    this.#ended = true;
    this.#client.close();
  }

  #reloaded({ unacknowledged }) {
    this.#acknowledge(unacknowledged.length);
    this.#unacknowledged = [];
    return unacknowledged.map(labelOf);
  }

  /** All but the last `left` are acknowledged. */
  #acknowledge(left) {
    while (this.#unacknowledged.length > left) this.log.acknowledged(this.#unacknowledged.shift());
  }

  #receive(message) {
    const { type, offset } = message;
    if (type === 'update' || type === 'steps') this.log.received(offset, message);
    else if (this.kind === 'updates' && type === 'reload') this.log.replaced(message);
    else if (type !== 'awareness' && type !== 'synced' && !(this.kind === 'updates' && type === 'saved')) {
      this.log.wrong(`a message ${JSON.stringify(message)}`);
    }
  }
}
