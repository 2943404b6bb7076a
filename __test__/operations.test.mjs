// What those who run a hub are given: metrics that Prometheus takes, rules and a dashboard of them, and a page that has them all.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { Registry } from 'prom-client';
import { metrics, metricsText, registerMetrics } from '@captify-io/hub';
import { ensureSystemPackages } from '../scripts/system.mjs';
import { ROOT, all, chapter, firstColumn, read } from './support/documents.mjs';
import { HubServer, uniqueId } from './support/hub-server.mjs';
import { until } from './support/processes.mjs';
import { startHub, startRedis } from './support/redis.mjs';

const RULES = path.join(ROOT, 'docs', 'operations', 'alerts.yml');

let server;
let promtool;
/** What a hub over Redis tells beside. */
let overRedis;
const ends = [];
const options = {
  session: () => ({ id: 'ann' }),
  documents: { kind: 'relay', store: false },
};
before(async () => {
  ({ promtool } = await ensureSystemPackages(['promtool'], { log: () => {} }));
  const scope = { after: (end) => ends.unshift(end) };
  const { ask } = await startHub(scope, (await startRedis(scope)).url);
  overRedis = await until('a probe to come back', async () => {
    const { families } = await ask({ ask: 'metrics' });
    return families.some(({ name }) => name === 'hub_redis_probe_age_seconds') && families;
  });
  server = await HubServer.start(options);
  const documentId = uniqueId();
  const clients = [await server.connect(documentId), await server.connect(documentId)];
  clients[0].send({ type: 'update', documentId, update: 'x' });
  await clients[1].received(({ type }) => type === 'update');
});
after(async () => {
  for (const end of ends) await end();
  await server.close();
});

/** What hubs tell, over Redis and not. */
const told = () => [...metrics(), ...overRedis];

const names = () =>
  told()
    .map(({ name }) => name)
    .sort();

/** The metrics that queries name, without what a histogram adds to its name. */
function named(text) {
  const histograms = new Set(
    told()
      .filter(({ type }) => type === 'histogram')
      .map(({ name }) => name),
  );
  const bare = (name) => {
    const base = name.replace(/_(?:bucket|sum|count)$/, '');
    return histograms.has(base) ? base : name;
  };
  return [...new Set(all(text, /\b(hub_[a-z_]+)/g).map(bare))].sort();
}

function check(what, input) {
  const { status, stdout, stderr } = spawnSync(promtool, ['check', ...what], { input, encoding: 'utf8' });
  return { status, said: `${stdout}${stderr}` };
}

test('promtool has nothing to say about the text of the metrics', () => {
  assert.deepEqual(check(['metrics'], metricsText()), { status: 0, said: '' });
  const { status, said } = check(['metrics'], 'hub_wrong_total{ 1\n');
  assert.ok(status !== 0 && said.length > 0, 'promtool takes anything');
});

test('promtool takes the rules for alerts, and all of their metrics are there', () => {
  const { status, said } = check(['rules', RULES]);
  assert.equal(status, 0, said);
  const rules = fs.readFileSync(RULES, 'utf8');
  assert.match(said, new RegExp(`${rules.match(/- alert:/g).length} rules found`));
  const known = names();
  assert.deepEqual(
    named(rules.replace(/^groups:[^]*?rules:/, '')).filter((name) => !known.includes(name)),
    [],
  );
});

test('every label that the rules and the dashboard name is one of its metric', () => {
  const labels = new Map(told().map(({ name, values }) => [name, values.map((value) => value.labels)]));
  const texts = [fs.readFileSync(RULES, 'utf8'), JSON.stringify(dashboard()).replaceAll('\\"', '"')];
  let seen = 0;
  for (const [, given, list] of texts.join('\n').matchAll(/\b(hub_[a-z_]+)\{([^}]*)\}/g)) {
    const of = labels.get(given.replace(/_bucket$/, '')) ?? labels.get(given);
    for (const [, label, operator, wanted] of list.matchAll(/(\w+)(=~|!=|=)"([^"]*)"/g)) {
      if (label === 'instance') continue;
      const wants = operator === '=~' ? wanted.split('|') : [wanted];
      for (const value of wants)
        assert.ok(
          of.some((has) => has[label] === value),
          `${given} has no ${label}="${value}"`,
        );
      seen += 1;
    }
  }
  assert.ok(seen > 8, `only ${seen}`);
});

function dashboard() {
  return JSON.parse(read('docs', 'operations', 'grafana.json'));
}

test('the dashboard has every metric, and no panel lies on another', () => {
  const { panels, title, uid } = dashboard();
  assert.deepEqual([title, uid], ['Hub', 'captify-hub']);
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  assert.deepEqual(named(queries.join('\n')), names());
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Set();
  for (const { gridPos, title: of } of panels) {
    for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        assert.ok(x < 24 && !taken.has(`${x},${y}`), `${of} lies on another panel`);
        taken.add(`${x},${y}`);
      }
    }
  }
});

test('every metric is in the documents with its labels, and no other', () => {
  const table = chapter('docs/operations.md', '### Metrics');
  assert.deepEqual(firstColumn(table, /`(hub_[a-z_]+)`/g), names());
  for (const { name, values } of told()) {
    const row = table.split('\n').find((line) => line.startsWith(`| \`${name}\` |`));
    const labels = [...row.split('|')[2].matchAll(/`(\w+)`/g)].map(([, label]) => label).sort();
    assert.deepEqual(labels, [...new Set(values.flatMap((value) => Object.keys(value.labels)))].sort(), name);
  }
});

test('a registry of prom-client has the same text, registered once or twice, and goes on with the next hub', async () => {
  const register = new Registry();
  registerMetrics(register);
  registerMetrics(register);
  // What changes by itself, and how numbers are written, is not compared.
  const comparable = (text) =>
    text
      .split('\n')
      .filter((line) => !/_delay_seconds/.test(line))
      .map((line) => line.replace(/ (\S+)$/, (_, number) => ` ${Number(number)}`))
      .map((line) => line.replace(/le="([^"+]+)"/, (_, bound) => `le="${Number(bound)}"`))
      .filter(Boolean)
      .sort();
  assert.deepEqual(comparable(await register.metrics()), comparable(metricsText()));
  assert.deepEqual(check(['metrics'], `${await register.metrics()}\n`), { status: 0, said: '' });
  assert.throws(() => registerMetrics({}), { code: 'HUB_INVALID_ARGUMENT', message: /^register / });

  await server.close();
  assert.match(await register.metrics(), /# TYPE hub_connections gauge/);
  assert.doesNotMatch(await register.metrics(), /^hub_/m);
  assert.throws(() => metricsText(), { code: 'HUB_NOT_RUNNING' });
  server = await HubServer.start(options);
  assert.match(await register.metrics(), /^hub_connections\{endpoint="fabric"\} 0$/m);
});
