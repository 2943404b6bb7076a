// The transcript of the README, by the program that prints it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { createHub } = require('../js/server.js');
const { broadcastSteps } = require('../js/index.js');

const root = fileURLToPath(new URL('..', import.meta.url));
const wscat = path.join(root, 'node_modules', 'wscat', 'bin', 'wscat');

test('wscat prints the transcript of the protocol', { timeout: 60_000 }, async (t) => {
  const hub = createHub();
  const server = http.createServer();
  hub.attach(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    await hub.close({ timeoutMs: 1000 });
    server.close();
  });

  const url = `ws://127.0.0.1:${server.address().port}/ws/fabric?documentId=doc1&clientID=me`;
  // Without a terminal wscat leaves the signs of direction away; util-linux's script gives it one.
  const command = `${process.execPath} ${wscat} --no-color -c '${url}'`;
  const child = spawn('script', ['-qfec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const ended = once(child, 'exit');
  let output = '';
  const arrivals = [];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    for (const arrival of arrivals.splice(0)) arrival();
  });
  const printed = async (text) => {
    while (!output.includes(text)) {
      const arrived = new Promise((resolve) => arrivals.push(() => resolve(true)));
      assert.ok(await Promise.race([arrived, ended.then(() => false)]), `wscat ended; it printed:\n${output}`);
    }
  };

  await printed('< {"type":"connected","clientID":"me","documentId":"doc1","token":"');
  child.stdin.write('{"type":"sync","documentId":"doc1"}\n');
  await printed('< {"type":"synced","documentId":"doc1"}');
  child.stdin.write('hello\n');
  await printed('< {"type":"error","message":"Invalid message format","code":"BAD_JSON"}');
  assert.equal(await broadcastSteps('doc1', [{ stepType: 'replace' }], 'c1'), 1);
  await printed('< {"type":"steps","steps":[{"stepType":"replace"}],"clientIDs":["agent"],"changeId":"c1","offset":1}');
  await hub.close();
  await printed('Disconnected (code: 1012');
  await ended;
});
