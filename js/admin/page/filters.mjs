// The form above a list: what it is narrowed to and how many rows of it are shown. Its state is the page's address.
import { h } from './dom.mjs';

/** Typing is followed by asking after so long. */
const TYPED_MS = 350;

const AGES = [
  ['', 'any age'],
  ['60000', 'over a minute'],
  ['3600000', 'over an hour'],
  ['86400000', 'over a day'],
];
const LIMITS = [
  ['50', '50 rows'],
  ['100', '100 rows'],
  ['250', '250 rows'],
  ['1000', '1000 rows'],
];
const KINDS = [
  ['', 'any kind'],
  ['relay', 'relay'],
  ['steps', 'steps'],
  ['updates', 'updates'],
];

export class Filters {
  #fields = new Map();
  #timer;
  #onChange;

  /**
   * @param {string} label
   * @param {(string | [string, string])[]} names of fields below, or a name and whose words and choices it has
   * @param {(values: Record<string, string>) => void} onChange
   */
  constructor(label, names, onChange) {
    this.#onChange = onChange;
    this.element = h(
      'form',
      {
        class: 'filters',
        role: 'search',
        'aria-label': label,
        onsubmit: (event) => {
          event.preventDefault();
          this.#changed(0);
        },
      },
      ...names.map((name) => (typeof name === 'string' ? this.#field(name) : this.#field(...name))),
      h('button', { type: 'button', class: 'quiet', onclick: () => this.#clear() }, 'Clear'),
    );
  }

  #field(name, like = name) {
    const id = `filter-${name}`;
    const make = FIELDS[like];
    const input = make.choices
      ? h(
          'select',
          { id, onchange: () => this.#changed(0) },
          ...make.choices.map(([value, words]) => h('option', { value }, words)),
        )
      : make.isFlag
        ? h('input', { id, type: 'checkbox', onchange: () => this.#changed(0) })
        : h('input', {
            id,
            type: 'search',
            autocomplete: 'off',
            spellcheck: 'false',
            maxlength: 512,
            placeholder: make.placeholder,
            oninput: () => this.#changed(TYPED_MS),
          });
    this.#fields.set(name, input);
    const label = h('label', { for: id }, make.title);
    return make.isFlag
      ? h('p', { class: 'flag' }, input, label)
      : h('p', { class: `field field-${name}` }, label, input);
  }

  /** Shows what the address says. What somebody is typing is left to them. */
  set(query) {
    for (const [name, input] of this.#fields) {
      if (input === document.activeElement && input.type === 'search') continue;
      const value = query.get(name) ?? '';
      if (input.type === 'checkbox') input.checked = value === '1';
      else input.value = value || (name === 'limit' ? '50' : '');
    }
  }

  get values() {
    return Object.fromEntries(
      [...this.#fields].map(([name, input]) => [
        name,
        input.type === 'checkbox' ? (input.checked ? '1' : '') : input.value.trim(),
      ]),
    );
  }

  #clear() {
    for (const input of this.#fields.values()) {
      if (input.type === 'checkbox') input.checked = false;
      else if (input.type === 'search') input.value = '';
      else input.selectedIndex = 0;
    }
    this.#changed(0);
  }

  #changed(afterMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#onChange(this.values), afterMs);
  }
}

const FIELDS = {
  user: { title: 'User', placeholder: 'id' },
  document: { title: 'Document', placeholder: 'id' },
  prefix: { title: 'Begins with', placeholder: 'id' },
  address: { title: 'Address', placeholder: '203.0.113.7' },
  path: { title: 'Path', placeholder: '/ws/fabric' },
  kind: { title: 'Kind', choices: KINDS },
  olderThanMs: { title: 'Open for', choices: AGES },
  limit: { title: 'Show', choices: LIMITS },
  slow: { title: 'Slow only', isFlag: true },
};
