// A process of the fault test: a real Node with a hub over Redis, and route handlers that publish.
import { startProgram } from '../programs.mjs';
import { SECRET } from '../redis.mjs';

const PROGRAM = `
  import http from 'node:http';
  import { broadcastSteps, broadcastStepsToClient } from '@captify-io/hub';
  import { createHub } from '@captify-io/hub/server';
  const hub = createHub(JSON.parse(process.argv[1]));
  const server = http.createServer();
  hub.attach(server);
  server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
  const asked = {
    publish: ({ documentId, label, to, steps }) =>
      to === undefined
        ? broadcastSteps(documentId, steps, label)
        : broadcastStepsToClient(documentId, to, steps, label),
    redis: async () => hub.stats().redis,
  };
  process.on('disconnect', () => process.exit());
  process.on('message', async ({ id, ask, ...question }) => {
    let answer;
    try {
      answer = { id, value: await asked[ask](question) };
    } catch ({ code, message }) {
      answer = { id, error: { code, message } };
    }
    process.send(answer);
  });
`;

/** Documents that a hub said to have lost something: the end of a line of its log. */
const LOST = /document "?([^" ]+)"? has lost some of its history/g;

export class HubProcess {
  port = 0;
  #asked = new Map();
  #questions = 0;

  /** @param options of the hub */
  static async start(options) {
    const hub = new HubProcess();
    hub.service = startProgram('a hub', PROGRAM, {
      env: { HUB_TOKEN_SECRET: SECRET },
      args: [JSON.stringify(options)],
      ipc: true,
    });
    hub.service.child.on('message', ({ id, value, error }) => {
      const { resolve, reject } = hub.#asked.get(id);
      hub.#asked.delete(id);
      // They are kept for those who ask in another way, and would be very many.
      hub.service.messages.length = 0;
      if (error) reject(error);
      else resolve(value);
    });
    hub.service.exit.then(() => {
      hub.port = 0;
      for (const { reject } of hub.#asked.values()) reject({ code: 'KILLED' });
      hub.#asked.clear();
    });
    const [, port] = await hub.service.printed(/listening on (\d+)/);
    hub.port = Number(port);
    return hub;
  }

  /** Rejects with `{ code, message }`; the code is `KILLED` where the process ends before it has answered. */
  ask(ask, question = {}) {
    if (this.port === 0) return Promise.reject({ code: 'KILLED' });
    this.#questions += 1;
    const id = this.#questions;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.service.child.send({ id, ask, ...question }, (error) => error && reject({ code: 'KILLED' }));
    });
  }

  /** How often a document has lost something, by what the hub has said. */
  get lost() {
    const counts = new Map();
    for (const [, documentId] of this.service.output.matchAll(LOST)) {
      counts.set(documentId, (counts.get(documentId) ?? 0) + 1);
    }
    return counts;
  }

  async end(signal = 'SIGKILL') {
    this.port = 0;
    await this.service.stop(signal);
  }
}
