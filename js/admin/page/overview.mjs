// How many, how fast, how slow, and what is wrong, on one screen.
import { Chart } from './chart.mjs';
import { busiestColumns, eventColumns, processColumns, slowestColumns } from './columns.mjs';
import { facts } from './dialog.mjs';
import { h, refill, show } from './dom.mjs';
import { bytes, count, milliseconds, short } from './format.mjs';
import { link } from './links.mjs';
import { problems } from './problems.mjs';
import { Table } from './table.mjs';

const perSecond = (value) => (value === undefined ? '–' : `${short(value)}/s`);
const bytesPerSecond = (value) => (value === undefined ? '–' : `${bytes(value)}/s`);

export class Overview {
  title = 'Overview';
  #series;

  constructor({ series, now }) {
    this.#series = series;
    this.charts = {
      connections: new Chart('Connections', { lines: ['connections'], format: count, least: 10 }),
      documents: new Chart('Documents with members', { lines: ['documents'], format: count, least: 10 }),
      messages: new Chart('Messages from clients', { lines: ['messages'], format: perSecond, least: 10 }),
      sent: new Chart('Messages to clients', { lines: ['messages'], format: perSecond, least: 10 }),
      bytes: new Chart('Bytes', { lines: ['in', 'out'], format: bytesPerSecond, least: 1024, isBinary: true }),
      loop: new Chart("Delay of Node's thread", { lines: ['median', 'p99'], format: milliseconds, least: 10 }),
      admission: new Chart('Admission', { lines: ['median', 'p99'], format: milliseconds, least: 10 }),
      threads: new Chart("Delay of the hub's threads", { lines: ['median', 'p99'], format: milliseconds, least: 10 }),
      waiting: new Chart('Waiting for slow clients', {
        lines: ['bytes'],
        format: bytes,
        least: 64 * 1024,
        isBinary: true,
      }),
    };
    this.problems = h('div', { class: 'problems' });
    this.more = h('div', { class: 'more card' });
    this.busiest = new Table({
      caption: 'Busiest documents',
      columns: busiestColumns(now),
      key: ({ id }) => id,
      empty: 'No document has members.',
    });
    this.slowest = new Table({
      caption: 'Slowest connections, by what waits for them',
      columns: slowestColumns(),
      key: ({ id }) => id,
      empty: 'There is no connection.',
    });
    this.events = new Table({
      caption: 'Latest security events',
      columns: eventColumns(),
      key: eventKey,
      empty: 'Nothing has happened.',
    });
    this.processes = new Table({
      caption: 'Processes, the one that answers first',
      columns: processColumns(now),
      key: ({ id }) => id,
      empty: 'There is no process.',
    });
    /** Only where there are several. */
    this.ofProcesses = panel('Processes', undefined, this.processes);
    /** What there is to see once a hub has answered. */
    this.rest = h(
      'div',
      { class: 'overview', hidden: true },
      h(
        'div',
        { class: 'columns' },
        this.#column('How many', ['connections', 'documents'], this.more),
        this.#column('How fast', ['messages', 'sent', 'bytes']),
        this.#column('How slow', ['loop', 'admission', 'threads', 'waiting']),
      ),
      h(
        'div',
        { class: 'lists' },
        panel('Busiest documents', link('documents'), this.busiest),
        panel('Slowest connections', link('connections', { sort: 'waiting' }), this.slowest),
      ),
      this.ofProcesses,
      panel('Latest security events', link('events'), this.events),
    );
    const wrong = h(
      'section',
      { 'aria-labelledby': 'wrong' },
      h('h2', { id: 'wrong' }, 'What is wrong'),
      this.problems,
    );
    this.element = h('div', { class: 'overview' }, wrong, this.rest);
  }

  #column(title, names, more) {
    const id = title.toLowerCase().replace(' ', '-');
    return h(
      'section',
      { class: 'column', 'aria-labelledby': id },
      h('h2', { id }, title),
      ...names.map((name) => this.charts[name].element),
      more,
    );
  }

  query() {
    return {};
  }

  update(answer) {
    const series = this.#series;
    const { charts } = this;
    const { at, summary, shown } = answer;
    charts.connections.update([series.gauge('connections')], at, series.windowMs);
    charts.documents.update([series.gauge('documents')], at, series.windowMs);
    charts.messages.update([series.rate('messagesIn')], at, series.windowMs);
    charts.sent.update([series.rate('messagesOut')], at, series.windowMs);
    charts.bytes.update([series.rate('bytesIn'), series.rate('bytesOut')], at, series.windowMs);
    charts.loop.update([series.quantile('loopDelay', 0.5), series.quantile('loopDelay', 0.99)], at, series.windowMs);
    charts.admission.update(
      [series.quantile('admission', 0.5), series.quantile('admission', 0.99)],
      at,
      series.windowMs,
    );
    charts.threads.update(
      [series.quantile('threadDelay', 0.5), series.quantile('threadDelay', 0.99)],
      at,
      series.windowMs,
    );
    // Without a session nothing is decided about.
    const isDecided = series.last?.histograms.admission !== undefined;
    show(charts.admission.element, isDecided);
    show(charts.threads.element, !isDecided);
    charts.waiting.update([series.gauge('waitingBytes')], at, series.windowMs);
    const wrong = problems(answer, series);
    refill(this.problems, wrong, () => (wrong.length === 0 ? allIsWell() : h('ul', {}, ...wrong.map(problem))));
    show(this.rest, series.length > 0);
    if (!summary || !shown) return;
    const entries = moreFacts(summary, answer.processes);
    refill(this.more, entries, () => facts(entries));
    show(this.ofProcesses, Boolean(answer.processes));
    if (answer.processes) this.processes.update(answer.processes.list);
    this.busiest.update(shown.documents.documents);
    this.slowest.update(shown.slowest.connections);
    this.events.update(shown.events);
  }
}

export const eventKey = ({ time, code, user, address, document, origin, hint }) =>
  JSON.stringify([time, code, user, address, document, origin, hint]);

function moreFacts({ gauges }, processes) {
  return [
    ['Members of documents', known(gauges.members, count)],
    ['Remembered documents', known(gauges.remembered, count)],
    ['Agent streams', known(gauges.streams, count)],
    ['Kept for recovery', known(gauges.historyBytes, bytes)],
    ['Unsaved documents', known(gauges.unsaved, count)],
    ['Upgrades being decided', known(gauges.upgradesWaiting, count)],
    ['Processes', processes && count(processes.processes)],
    ['Connections of all', processes && count(processes.connections)],
    ['Documents of all', processes && count(processes.documents)],
  ];
}

const known = (value, format) => (value === undefined || value === null ? undefined : format(value));

function allIsWell() {
  return h('p', { class: 'well' }, 'Nothing that the hub knows of.');
}

function problem({ tone, text, href, words }) {
  return h('li', { class: `problem tone-${tone}` }, h('span', {}, text), href && h('a', { href }, words));
}

function panel(title, href, table) {
  return h(
    'section',
    { class: 'panel card' },
    h(
      'div',
      { class: 'panel-head' },
      h('h2', {}, title),
      href && h('a', { href, 'aria-label': `All: ${title}` }, 'All'),
    ),
    table.element,
  );
}
