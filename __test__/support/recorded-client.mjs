// The client that the package ships, with a record of everything it says.
import WebSocket from 'ws';
import { FabricClient } from '../../js/client.js';
import { until } from './processes.mjs';

const EVENTS = ['message', 'status', 'connected', 'recovered', 'reload', 'acknowledged', 'closed'];

export class RecordedClient extends FabricClient {
  /** `[event, detail]` of all there were. */
  record = [];

  constructor(options) {
    super({ WebSocket, firstWaitMs: 20, longestWaitMs: 200, ...options });
    for (const event of EVENTS) this.on(event, (detail) => this.record.push([event, detail]));
  }

  /** Details of all events of a kind. */
  all(event) {
    return this.record.filter(([kind]) => kind === event).map(([, detail]) => detail);
  }

  /** Messages of a type. */
  messages(type) {
    return this.all('message').filter((message) => message.type === type);
  }

  /** Resolves with the detail of the `count`-th event of a kind. */
  async saw(event, count = 1, options) {
    const found = await until(
      () => `${count} times ${event}; there is ${JSON.stringify(this.record)}`,
      () => this.all(event)[count - 1] ?? (this.all(event).length >= count && {}),
      { everyMs: 5, ...options },
    );
    return found;
  }

  /** Resolves when the status is in a state. */
  async is(state, options) {
    return until(
      () => `state ${state}; there is ${JSON.stringify(this.record)}`,
      () => this.status.state === state,
      { everyMs: 5, ...options },
    );
  }

  /** Resolves with the first `count` messages of a type. */
  async received(type, count = 1, options) {
    const what = () => `${count} of ${type}; there is ${JSON.stringify(this.record)}`;
    return until(what, () => this.messages(type).length >= count && this.messages(type), { everyMs: 5, ...options });
  }
}
