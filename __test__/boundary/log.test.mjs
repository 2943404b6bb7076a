// The log as lines for machines: from Rust and from JavaScript, with what each is about.
import assert from 'node:assert/strict';
import test from 'node:test';
import { later, startHub } from '../support/client-stage.mjs';
import { FabricClient } from '../support/fabric-client.mjs';
import { until } from '../support/processes.mjs';
import { runProgram } from '../support/programs.mjs';
import { makeStubApp, served, startStub } from '../support/stub-app.mjs';

/** The lines of a server that were written on stderr as JSON, and those that are none. */
function linesOf({ output }) {
  const lines = output.split('\n').filter((line) => line.startsWith('{"hub":"log"') || line.startsWith('[hub]'));
  return {
    json: lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line)),
    text: lines.filter((line) => line.startsWith('[')),
  };
}

async function started(options) {
  const service = startStub(makeStubApp({ options }), { args: ['-H', '127.0.0.1'], env: { PORT: '0' } });
  later(() => service.stop('SIGKILL'));
  const { port } = await served(service);
  return { service, base: `ws://127.0.0.1:${port}` };
}

test('each line is one object with its time, its level, and the connection and document it is about', async () => {
  const { service, base } = await started(
    "{ hub: { logFormat: 'json', logLevel: 'info', documents: { kind: 'steps', store: false, load: () => { throw new Error('no disk\\nat all'); } } } }",
  );
  const refused = FabricClient.connect(base, 'a "document"', 'anna').catch(() => {});
  const found = await until('lines about the document', () => {
    const about = linesOf(service).json.filter(({ document }) => document === 'a "document"');
    return about.length >= 2 && about;
  });
  for (const line of found) {
    assert.equal(line.hub, 'log');
    assert.ok(Math.abs(Date.parse(line.time) - Date.now()) < 60_000, line.time);
    assert.ok(['error', 'warn', 'info'].includes(line.level), line.level);
  }
  assert.ok(
    found.some(({ message }) => message.includes('no disk')),
    'what the app threw is in one line',
  );
  service.child.kill('SIGTERM');
  await service.exit;
  await refused;
  assert.deepEqual(linesOf(service).text, []);
});

test('what a client does wrong names its connection, document and user; what strangers cause is bounded', async () => {
  const session = "() => ({ id: 'anna' })";
  const { service, base } = await started(`{ hub: { logFormat: 'json', logLevel: 'info', session: ${session} } }`);
  const client = await FabricClient.connect(base, 'document', 'client');
  later(() => client.drop());
  client.send({ type: 'nonsense\u2028', documentId: 'document' });
  const line = await until('the line', () =>
    linesOf(service).json.find(({ message }) => message?.includes('unknown type')),
  );
  assert.equal(typeof line.connection, 'number');
  assert.deepEqual([line.document, line.user], ['document', 'anna']);
  assert.ok(!service.output.includes('\u2028'), 'what would begin a line is escaped');
});

test('JavaScript writes by the same writer, bounded, and nothing is lost where the process ends at once', async () => {
  const { code, output } = await runProgram(
    'a hub that says much and ends',
    `
    import { createRequire } from 'node:module';
    import { HubServer } from './__test__/support/hub-server.mjs';
    const require = createRequire(import.meta.url);
    const { log } = require('./js/shared/log.js');
    const { toStderr } = require('./js/admission/security.js');
    await HubServer.start({ logFormat: 'json', logLevel: 'error', limits: {}, session: () => null });
    for (let number = 1; number <= 500; number += 1) log('warn', 'of a stranger ' + number);
    for (let number = 1; number <= 300; number += 1) log('error', 'a fault');
    toStderr({ code: 'SESSION_MISSING', count: 1 });
    toStderr({ code: 'ADMIN_ACTION', count: 1 });
    process.exit(3);
    `,
  );
  assert.equal(code, 3);
  const lines = output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  const count = (part) => lines.filter(({ message }) => message?.includes(part)).length;
  assert.deepEqual([count('of a stranger'), count('a fault')], [200, 300]);
  const leftOut = lines.map(({ message }) => Number(/^(\d+) more lines were left out/.exec(message)?.[1] ?? 0));
  assert.equal(
    leftOut.reduce((sum, more) => sum + more),
    301,
  );
  assert.deepEqual(
    lines.filter(({ hub }) => hub === 'security').map((event) => event.code),
    ['ADMIN_ACTION'],
  );
});

test('a wrong format is refused', async () => {
  await assert.rejects(startHub({ logFormat: 'xml' }), { code: 'HUB_INVALID_ARGUMENT', message: /logFormat/ });
});
