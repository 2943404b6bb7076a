// The npm package `ws` as a browser stands in for it, with what the boundary tests want to know of it.
import { FabricClient } from './fabric-client.mjs';
import { until } from './processes.mjs';

export class HubClient extends FabricClient {
  constructor(url, options) {
    super(url, options);
    /** Every message as the text it was, for what JSON.parse would lose. */
    this.texts = [];
    this.socket.on('message', (data) => this.texts.push(data.toString()));
  }

  /** Messages of one type. */
  all(type) {
    return this.messages.filter((message) => message.type === type);
  }

  /** Resolves with the first `count` messages of a type. */
  async receivedAll(type, count, { timeoutMs = 30_000 } = {}) {
    const what = () => `${count} messages of type ${type}, of which ${this.all(type).length} came`;
    return until(
      what,
      () => {
        if (this.closed) throw new Error(`closed with ${JSON.stringify(this.closed)} before ${what()}`);
        const found = this.all(type);
        return found.length >= count ? found : null;
      },
      { timeoutMs, everyMs: 5 },
    );
  }

  /** Resolves when the hub has handled everything this client sent before. */
  async synced(documentId) {
    const before = this.all('synced').length;
    this.send({ type: 'sync', documentId });
    await this.receivedAll('synced', before + 1);
  }
}
