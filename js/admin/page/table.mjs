// A table whose rows keep their elements from one answer to the next, so that focus, selection and scrolling stay.
import { h, mark, refill, show, write } from './dom.mjs';
import { count, plural } from './format.mjs';

/**
 * @typedef {object} Column
 * @property {string} title
 * @property {string} [sort] the order that its heading asks for
 * @property {string} [order] `'ascending'` or `'descending'`, the default: what that order is in this column
 * @property {string} [other] the opposite order, where there is one: that of the next press
 * @property {boolean} [isNumber]
 * @property {boolean} [isMain] what names the row
 * @property {boolean} [isBrief] beside that, what a short list shows on a phone
 * @property {boolean} [isUnnamed] its cells speak for themselves
 * @property {(row: object) => Cell} cell
 *
 * @typedef {object} Cell plain data: what is the same in the next answer is not made again
 * @property {string} [text]
 * @property {string} [sub] a second line
 * @property {string} [href]
 * @property {string} [tone] `'good'`, `'warn'`, `'bad'`, `'soft'`
 * @property {boolean} [isBadge]
 * @property {string} [button] the words of a button, which `onPress` hears of
 * @property {string} [label] what the button is called where its words are not enough
 */

export class Table {
  #columns;
  #key;
  #onPress;
  #headings;
  #rows = new Map();
  #sort;

  /**
   * @param {{ caption: string, columns: Column[], key: (row: object) => string, onSort?: (sort: string) => void,
   *   onPress?: (row: object) => void, empty: string }} about
   */
  constructor({ caption, columns, key, onSort, onPress, empty }) {
    this.#columns = columns;
    this.#key = key;
    this.#onPress = onPress;
    this.#headings = columns.map((column) => this.#heading(column, onSort));
    this.body = h('tbody', { role: 'rowgroup' });
    this.empty = h('p', { class: 'empty', hidden: true }, empty);
    // The roles are those that the elements have; they stay where a narrow screen lays the table out as cards.
    this.table = h(
      'table',
      { role: 'table' },
      h('caption', { class: 'unseen' }, caption),
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ...this.#headings)),
      this.body,
    );
    this.element = h(
      'div',
      { class: 'table', role: 'region', 'aria-label': caption, tabindex: '0' },
      this.table,
      this.empty,
    );
  }

  #heading({ title, sort, other, isNumber, isUnnamed }, onSort) {
    if (isUnnamed) return h('th', { scope: 'col', role: 'columnheader' }, h('span', { class: 'unseen' }, title));
    const inside =
      sort && onSort
        ? h(
            'button',
            { type: 'button', class: 'sort', onclick: () => onSort(other && this.#sort === sort ? other : sort) },
            title,
          )
        : title;
    return h('th', { scope: 'col', role: 'columnheader', class: isNumber && 'number' }, inside);
  }

  /** @param {object[]} rows @param {string} [sort] the order they are in */
  update(rows, sort) {
    this.#sort = sort;
    this.#columns.forEach((column, index) => mark(this.#headings[index], 'aria-sort', orderOf(column, sort)));
    const focused = document.activeElement;
    const held = this.body.contains(focused);
    const now = new Map(rows.map((row) => [this.#key(row), row]));
    for (const [key, { element }] of this.#rows) {
      if (now.has(key)) continue;
      element.remove();
      this.#rows.delete(key);
    }
    let place = this.body.firstChild;
    for (const [key, row] of now) {
      const { element } = this.#row(key, row);
      if (element === place) place = place.nextSibling;
      else this.body.insertBefore(element, place);
    }
    // To move an element takes the focus from it.
    if (held) (focused.isConnected ? focused : this.element).focus({ preventScroll: true });
    show(this.empty, rows.length === 0);
    show(this.table, rows.length > 0);
  }

  #row(key, row) {
    let known = this.#rows.get(key);
    if (!known) {
      const cells = this.#columns.map(({ isNumber, isMain, isBrief, isUnnamed, title }) =>
        h(isMain ? 'th' : 'td', {
          role: isMain ? 'rowheader' : 'cell',
          scope: isMain && 'row',
          class:
            [isNumber && 'number', isBrief && 'brief', isUnnamed && 'press'].filter(Boolean).join(' ') || undefined,
          'data-title': isUnnamed ? undefined : title,
        }),
      );
      known = { element: h('tr', { role: 'row' }, ...cells), cells };
      this.#rows.set(key, known);
    }
    known.row = row;
    this.#columns.forEach((column, index) => {
      const cell = column.cell(row);
      refill(known.cells[index], cell, () => this.#inside(cell, known));
    });
    return known;
  }

  #inside({ text = '', sub, href, tone, isBadge, button, label }, known) {
    if (button) {
      return h(
        'button',
        { type: 'button', class: 'quiet', 'aria-label': label, onclick: () => this.#onPress(known.row) },
        button,
      );
    }
    const style = [isBadge && 'badge', tone && `tone-${tone}`, text === '–' && 'tone-soft'].filter(Boolean).join(' ');
    const words = h(
      href ? 'a' : 'span',
      { href, class: style || undefined, title: text.length > 24 && text },
      h('bdi', {}, text),
    );
    return sub ? h('div', { class: 'two' }, words, h('span', { class: 'sub', title: sub }, h('bdi', {}, sub))) : words;
  }
}

/** How a column is sorted by an order; undefined where it is not. */
function orderOf({ sort, other, order = 'descending' }, by) {
  if (by === undefined) return undefined;
  if (sort === by) return order;
  return other === by ? ['ascending', 'descending'].find((each) => each !== order) : undefined;
}

/** The line above a table: how many of how many. */
export class Found {
  element = h('p', { class: 'found' });

  /** @param {string} what one of them */
  update(shown, total, what) {
    const all = plural(total, what);
    write(this.element, shown < total ? `${count(shown)} of ${all}` : all);
  }
}
