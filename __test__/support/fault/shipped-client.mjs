// The client that the package ships, with everything written down that it tells its app.
import WebSocket from 'ws';
import { FabricClient } from '../../../js/client.js';
import { labelOf } from './labels.mjs';

export class ShippedClient {
  #client;
  /** Where the newest connection began, read off the wire. */
  #offered = null;
  #offset = -1;
  /** Labels of what is not acknowledged, oldest first. */
  #unacknowledged = [];
  #ended = false;

  constructor({ documentId, kind, clientID, base, random, isSlowToReturn, patienceMs, log }) {
    this.others = kind === 'updates' ? ['awareness', 'synced', 'saved'] : ['awareness', 'synced'];
    this.clientID = clientID;
    this.documentId = documentId;
    this.log = log;
    const tap = (data) => {
      const message = JSON.parse(data.toString());
      if (message.type === 'connected') this.#offered = message;
    };
    class Tapped extends WebSocket {
      constructor(url) {
        super(url);
        this.on('message', tap);
      }
    }
    this.#client = new FabricClient({
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
    this.#client.on('connected', () => this.#begin());
    this.#client.on('recovered', ({ from, to }) => log.recovered(from, to));
    this.#client.on('reload', (detail) => this.#reload(detail));
    this.#client.on('acknowledged', () => this.#acknowledge(this.#client.unacknowledged));
    this.#client.on('message', (message) => this.#receive(message));
    this.#client.on('status', ({ state, code }) => state === 'waiting' && log.closed(code));
    this.#client.on('closed', ({ code }) => this.#ended || log.wrong(`stopped with ${code}`));
  }

  get unacknowledged() {
    return this.#client.unacknowledged;
  }

  get offset() {
    return this.#client.status.state === 'open' ? this.#offset : -1;
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

  #begin() {
    this.#offset = this.#offered.offset;
    this.log.began(this.#offered);
  }

  #reload({ reason, certain, unacknowledged }) {
    this.#acknowledge(unacknowledged.length);
    this.#unacknowledged = [];
    this.log.reloaded(reason, { certain, labels: unacknowledged.map(labelOf) });
    this.#begin();
  }

  /** All but the last `left` are acknowledged. */
  #acknowledge(left) {
    while (this.#unacknowledged.length > left) this.log.acknowledged(this.#unacknowledged.shift());
  }

  #receive(message) {
    const { type, offset } = message;
    if (type === 'update' || type === 'steps') {
      this.#offset = offset;
      this.log.received(offset, message);
    } else if (!this.others.includes(type)) {
      this.log.wrong(`a message ${JSON.stringify(message)}`);
    }
  }
}
