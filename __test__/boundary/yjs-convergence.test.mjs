// Documents that are edited at random over connections that break become one. `HUB_YJS_RUNS` runs instead of a few,
// `HUB_YJS_SEED` begins with a seed that was printed.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import * as Y from 'yjs';
import { fromBase64 } from '../../js/yjs/base64.mjs';
import { startProcess, startProcesses } from '../support/authority.mjs';
import { later, startHub } from '../support/client-stage.mjs';
import { startRedis } from '../support/redis.mjs';
import { differenceOf } from '../support/yjs-stage.mjs';
import { convergenceRun } from '../support/yjs-world.mjs';

const RUNS = Number(process.env.HUB_YJS_RUNS ?? 4);
const FIRST = Number(process.env.HUB_YJS_SEED ?? Date.now() % 1_000_000);
const seeds = Array.from({ length: RUNS }, (_, index) => FIRST + index);

/** A hub of this process that can be started anew, knowing nothing. */
async function relay() {
  let server = await startHub({ limits: false });
  return {
    get port() {
      return server.port;
    },
    async restart() {
      await server.close();
      server = await startHub({ limits: false });
      return server.port;
    },
  };
}

/** A hub of another process with a store, which is killed and started anew. */
const kept = async () => handleOf(await startProcess({ kind: 'updates' }));

/** Two hubs over one Redis, one of which is killed and started anew, in turn. */
async function together() {
  const { url } = await startRedis({ after: later });
  return handleOf(await startProcesses(url, 2, { kind: 'updates' }));
}

function handleOf(hub) {
  later(() => hub.close());
  return {
    get port() {
      return hub.port;
    },
    async restart() {
      await hub.kill();
      await hub.restart();
      return hub.port;
    },
    async state(documentId) {
      const answer = await fetch(`http://127.0.0.1:${hub.port}/${encodeURIComponent(documentId)}`);
      return (await answer.json()).state;
    },
  };
}

for (const [kind, start] of [
  ['a relay', relay],
  ['a document that keeps its updates', kept],
  ['a document that two processes keep', together],
]) {
  describe(`random edits in ${kind} become one document`, { timeout: 120_000 * RUNS }, () => {
    for (const seed of seeds) {
      test(`with seed ${seed}`, async (t) => {
        const hub = await start();
        const { faults, editors, ...done } = await convergenceRun({ hub, seed, later });
        t.diagnostic(`seed ${seed}: ${JSON.stringify(done)}`);
        assert.deepEqual(faults, []);
        if (kind === 'a relay') return;
        const stored = new Y.Doc();
        Y.applyUpdate(stored, fromBase64(await hub.state(editors[0].client.documentId)));
        assert.equal(differenceOf([editors[0].doc, stored]), null, 'the hub has all of it');
      });
    }
  });
}
