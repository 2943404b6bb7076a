// A process of the fault test, as the test sees it: a real Node with a hub over Redis; see hub-program.mjs.
import { fileURLToPath } from 'node:url';
import { childEnvironment, Service } from '../processes.mjs';
import { SECRET } from '../redis.mjs';

const PROGRAM = fileURLToPath(new URL('hub-program.mjs', import.meta.url));

/** Documents that a hub said to have lost something: the end of a line of its log. */
const LOST = /document "?([^" ]+)"? has lost some of its history/g;

/** What a hub says where steps that somebody was shown have no place any more. */
const GIVEN_UP = /document "([^" ]+)"[^\n]*(what was behind is lost|goes on)/g;

function countsOf(pattern, output) {
  const counts = new Map();
  for (const [, documentId] of output.matchAll(pattern)) counts.set(documentId, (counts.get(documentId) ?? 0) + 1);
  return counts;
}

export class HubProcess {
  port = 0;
  #asked = new Map();
  #questions = 0;

  /**
   * @param options of the hub
   * @param app whose database it asks; see app.mjs
   * @param [said] is given everything that it says, with its process id before it
   */
  static async start(options, app, said) {
    const hub = new HubProcess();
    const env = childEnvironment({ HUB_TOKEN_SECRET: SECRET });
    hub.service = new Service('a hub', process.execPath, [PROGRAM, JSON.stringify(options)], { env, ipc: true });
    hub.service.child.on('message', (message) => {
      // They are kept for those who ask in another way, and would be very many.
      hub.service.messages.length = 0;
      if (message.database === undefined) hub.#answered(message);
      else hub.#answer(app, message);
    });
    for (const stream of said ? [hub.service.child.stdout, hub.service.child.stderr] : []) {
      stream.on('data', (text) => said(`${hub.service.pid}: ${text}`));
    }
    hub.service.exit.then(() => {
      hub.port = 0;
      for (const { reject } of hub.#asked.values()) reject({ code: 'KILLED' });
      hub.#asked.clear();
    });
    const [, port] = await hub.service.printed(/listening on (\d+)/);
    hub.port = Number(port);
    return hub;
  }

  #answered({ id, value, error }) {
    const { resolve, reject } = this.#asked.get(id);
    this.#asked.delete(id);
    if (error) reject(error);
    else resolve(value);
  }

  async #answer(app, { database, question, about }) {
    let answer;
    try {
      answer = { database, value: await app[question](about, this.service.pid) };
    } catch (error) {
      answer = { database, error: error.message };
    }
    // A process that was killed meanwhile asks for nothing more.
    if (this.service.child.connected) this.service.child.send(answer, () => {});
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
    return countsOf(LOST, this.service.output);
  }

  /** How often steps of a document were given up, by what the hub has said. */
  get givenUp() {
    return countsOf(GIVEN_UP, this.service.output);
  }

  async end(signal = 'SIGKILL') {
    this.port = 0;
    await this.service.stop(signal);
  }
}
