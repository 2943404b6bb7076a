// The inside of one document.
import { memberColumns } from './columns.mjs';
import { facts } from './dialog.mjs';
import { h, refill, show, write } from './dom.mjs';
import { age, bytes, count, moment, plural, visible } from './format.mjs';
import { link } from './links.mjs';
import { Found, Table } from './table.mjs';

export class Inside {
  title = 'Document';
  #id = '';
  #now;

  constructor({ actions, now }) {
    this.#now = now;
    this.name = h('h2', { class: 'document-name' });
    this.badges = h('p', { class: 'badges' });
    this.facts = h('div', { class: 'card' });
    this.recheck = h('button', { type: 'button', onclick: () => actions.recheck(this.#id) }, 'Recheck access…');
    this.save = h('button', { type: 'button', class: 'primary', onclick: () => actions.save(this.#id) }, 'Save now…');
    this.found = new Found();
    this.all = h('a', {}, 'As a list');
    this.members = new Table({
      caption: 'Members of the document',
      columns: memberColumns(now),
      key: ({ id }) => id,
      empty: 'Nobody is here.',
      onPress: (connection) => actions.manage({ document: this.#id, ...connection }),
    });
    this.aside = h('div', { class: 'aside' });
    this.missing = h(
      'p',
      { class: 'empty' },
      'No such document is open or kept in memory. It may have been closed since.',
    );
    this.there = h(
      'div',
      {},
      this.facts,
      this.aside,
      h('div', { class: 'panel-head members' }, h('h3', {}, 'Members'), this.found.element, this.all),
      this.members.element,
    );
    this.element = h(
      'section',
      { class: 'inside list' },
      h('p', { class: 'back' }, h('a', { href: link('documents') }, '← All documents')),
      h(
        'div',
        { class: 'inside-head' },
        h('div', {}, this.name, this.badges),
        h('div', { class: 'buttons' }, this.recheck, this.save),
      ),
      this.there,
      this.missing,
    );
  }

  query(query) {
    this.#id = query.get('id') ?? '';
    refill(this.name, this.#id, () => h('bdi', {}, visible(this.#id)));
    this.all.href = link('connections', { document: this.#id });
    for (const part of [this.there, this.missing, this.save, this.recheck]) show(part, false);
    write(this.badges, '');
    return { id: this.#id };
  }

  update({ shown }) {
    if (!shown) return;
    const { document, members } = shown;
    show(this.missing, !document);
    for (const part of [this.there, this.recheck]) show(part, Boolean(document));
    if (!document) return;
    show(this.save, document.kind !== 'relay');
    const badges = [document.kind, document.state];
    refill(this.badges, ['badges', ...badges], () => badges.map((words) => h('span', { class: 'badge' }, words)));
    const entries = factsOf(document, this.#now());
    refill(this.facts, entries, () => facts(entries));
    const aside = document.setAside ?? [];
    refill(this.aside, aside, () => setAside(aside));
    this.found.update(members.length, document.members, 'connection');
    this.members.update(members);
  }
}

function factsOf(document, now) {
  const isKept = document.kind !== 'relay';
  const { unsavedSince } = document;
  return [
    ['Members', count(document.members)],
    ['Version', document.version === undefined ? undefined : count(document.version)],
    ['Offset', document.offset === undefined ? undefined : count(document.offset)],
    ['Epoch', document.epoch],
    ['History', `${bytes(document.historyBytes)}, ${plural(document.historyEntries, 'entry', 'entries')}`],
    ['Waiting for members', bytes(document.waitingBytes)],
    ['Unsaved', isKept ? (unsavedSince === undefined ? 'nothing' : `for ${age(now - unsavedSince)}`) : undefined],
    ['Path', visible(document.path)],
  ];
}

/** What could not go on with the document, and was put aside in the store. */
function setAside(entries) {
  if (entries.length === 0) return [];
  const item = ({ at, reason, bytes: size }) =>
    h(
      'li',
      { class: 'card' },
      facts([
        ['Set aside', moment(at)],
        ['Why', visible(reason)],
        ['Size', bytes(size)],
      ]),
    );
  return [h('h3', {}, 'Set aside'), h('ul', {}, ...entries.map(item))];
}
