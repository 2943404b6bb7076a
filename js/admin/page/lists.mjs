// The documents and the connections as tables, narrowed, sorted and cut short by the hub.
import { connectionColumns, documentColumns, eventColumns } from './columns.mjs';
import { h } from './dom.mjs';
import { Filters } from './filters.mjs';
import { link } from './links.mjs';
import { Found, Table } from './table.mjs';
import { visible } from './format.mjs';
import { eventKey } from './overview.mjs';

class List {
  #view;
  #fallback;
  #query = new URLSearchParams();

  constructor({ view, title, caption, fields, columns, key, empty, sort, onPress }) {
    this.#view = view;
    this.title = title;
    this.#fallback = sort;
    this.filters = new Filters(`Filter the ${view}`, fields, (values) => this.#go(values));
    this.found = new Found();
    this.table = new Table({ caption, columns, key, empty, onPress, onSort: (name) => this.#sort(name) });
    this.element = h(
      'section',
      { class: 'list' },
      h('h2', {}, title),
      this.filters.element,
      this.found.element,
      this.table.element,
    );
  }

  #go(values) {
    location.hash = link(this.#view, { ...values, sort: this.#query.get('sort') ?? '' });
  }

  #sort(name) {
    location.hash = link(this.#view, { ...this.filters.values, sort: name });
  }

  /** @param {URLSearchParams} query of the address */
  query(query) {
    this.#query = query;
    this.filters.set(query);
    return { limit: '50', sort: this.#fallback, ...Object.fromEntries(query) };
  }

  update({ shown }) {
    if (!shown) return;
    const rows = shown[this.#view];
    this.found.update(rows.length, shown.total, this.#view.slice(0, -1));
    this.table.update(rows, this.#query.get('sort') ?? this.#fallback);
  }
}

export class Connections extends List {
  constructor({ actions, now }) {
    super({
      view: 'connections',
      title: 'Connections',
      caption: 'Open connections',
      fields: ['user', 'document', 'address', 'path', 'olderThanMs', 'limit', 'slow'],
      columns: connectionColumns(now),
      key: ({ id }) => id,
      empty: 'No connection is like this.',
      sort: 'newest',
      onPress: (connection) => actions.manage(connection),
    });
  }
}

export class Documents extends List {
  constructor({ now }) {
    super({
      view: 'documents',
      title: 'Documents',
      caption: 'Documents with members, and those that are kept in memory',
      fields: [['document', 'prefix'], 'kind', 'user', 'address', 'limit', 'slow'],
      columns: documentColumns(now),
      key: ({ path, id }) => JSON.stringify([path, id]),
      empty: 'No document is like this.',
      sort: 'members',
    });
  }
}

/** Rows that are few, and all here: what is looked for is found without asking the server. */
class Searched {
  #all = [];

  /**
   * @param {object} about `title`; of the search field `id`, `label` and `form`; `what` a row is called; the `table`'s options;
   *   `rowsOf` what is shown, and the `textOf` a row in which is searched
   */
  constructor({ title, id, label, form, what, table, rowsOf, textOf }) {
    Object.assign(this, { title, what, rowsOf, textOf });
    this.search = h('input', {
      id,
      type: 'search',
      spellcheck: 'false',
      autocomplete: 'off',
      oninput: () => this.#narrow(),
    });
    this.found = new Found();
    this.table = new Table(table);
    this.element = h(
      'section',
      { class: 'list' },
      h('h2', {}, title),
      h(
        'form',
        { class: 'filters', role: 'search', 'aria-label': form, onsubmit: (event) => event.preventDefault() },
        h('p', { class: 'field field-wide' }, h('label', { for: id }, label), this.search),
      ),
      this.found.element,
      this.table.element,
    );
  }

  query() {
    return {};
  }

  update({ shown }) {
    if (!shown) return;
    this.#all = this.rowsOf(shown);
    this.#narrow();
  }

  #narrow() {
    const words = this.search.value.trim().toLowerCase();
    const rows = this.#all.filter((row) => this.textOf(row).toLowerCase().includes(words));
    this.found.update(rows.length, this.#all.length, this.what);
    this.table.update(rows);
  }
}

export class Events extends Searched {
  constructor() {
    super({
      title: 'Security events',
      id: 'event-search',
      label: 'Anything in them',
      form: 'Filter the events',
      what: 'event',
      table: {
        caption: 'Security events, the newest first',
        columns: eventColumns(),
        key: eventKey,
        empty: 'Nothing is like this.',
      },
      rowsOf: ({ events }) => events,
      textOf: (event) => JSON.stringify(event),
    });
  }
}

/** Everything the hub counts, as Prometheus is told it. */
export class Metrics extends Searched {
  constructor() {
    super({
      title: 'Metrics',
      id: 'metric-search',
      label: 'Name, label or words',
      form: 'Filter the metrics',
      what: 'value',
      table: {
        caption: 'Metrics',
        columns: [
          { title: 'Name', isMain: true, cell: ({ name, help }) => ({ text: name, sub: help }) },
          { title: 'Labels', cell: ({ labels }) => ({ text: labels || '–', tone: 'soft' }) },
          { title: 'Value', isNumber: true, cell: ({ value, sub }) => ({ text: value, sub }) },
        ],
        key: ({ name, labels }) => `${name} ${labels}`,
        empty: 'No metric is like this.',
      },
      rowsOf: ({ metrics }) => metrics.flatMap((metric) => metric.values.map((value) => metricRow(metric, value))),
      textOf: (row) => `${row.name} ${row.labels} ${row.help}`,
    });
  }
}

const exact = new Intl.NumberFormat('en', { maximumSignificantDigits: 6 });

function metricRow({ name, help, type }, { labels, value, count, sum }) {
  const written = Object.entries(labels ?? {})
    .map(([key, each]) => `${key}=${visible(each)}`)
    .join(' ');
  if (type !== 'histogram') return { name, help, labels: written, value: exact.format(value) };
  const mean = count > 0 ? `${exact.format(sum / count)} on average` : 'none yet';
  return { name, help, labels: written, value: exact.format(count), sub: mean };
}
