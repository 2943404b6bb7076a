// The dialog in which something is done: what it will do, a confirmation, and what came of it.
import { h, show, write } from './dom.mjs';

export class Dialog {
  #isBusy = false;

  constructor() {
    this.title = h('h2', { id: 'dialog-title', tabindex: '-1' });
    this.body = h('div', { class: 'dialog-body' });
    this.result = h('p', { class: 'result', role: 'status' });
    this.buttons = h('div', { class: 'buttons' });
    this.element = h(
      'dialog',
      { 'aria-labelledby': 'dialog-title', oncancel: (event) => this.#isBusy && event.preventDefault() },
      this.title,
      this.body,
      this.result,
      this.buttons,
    );
    this.element.addEventListener('click', (event) => event.target === this.element && !this.#isBusy && this.close());
  }

  close() {
    this.element.close();
  }

  /**
   * Shows something, with what may be done about it.
   *
   * @param {string} title
   * @param {(Node | string)[]} body
   * @param {{ words: string, onPress: () => void, isDanger?: boolean }[]} choices
   */
  open(title, body, choices) {
    this.#fill(title, body);
    const buttons = choices.map(({ words, onPress, isDanger }) =>
      h('button', { type: 'button', class: isDanger ? 'danger' : undefined, onclick: onPress }, words),
    );
    this.buttons.replaceChildren(this.#closer('Close'), ...buttons);
    this.#show();
  }

  /**
   * Asks whether to do something, does it, and tells what came of it.
   *
   * @param {{ title: string, body: (Node | string)[], words: string, isDanger?: boolean, run: () => Promise<string> }} about
   *   `run` answers the words for what has happened
   */
  confirm({ title, body, words, isDanger, run }) {
    this.#fill(title, body);
    const cancel = this.#closer('Cancel');
    const act = h('button', { type: 'button', class: isDanger ? 'danger' : 'primary' }, words);
    act.addEventListener('click', async () => {
      if (this.#isBusy) return;
      this.#isBusy = true;
      act.disabled = true;
      cancel.disabled = true;
      this.#tell('', 'Working…');
      try {
        this.#tell('good', await run());
        this.buttons.replaceChildren(this.#closer('Close', 'primary'));
        this.buttons.firstChild.focus();
      } catch (error) {
        this.#tell('bad', error.message);
        act.disabled = false;
        cancel.disabled = false;
        act.focus();
      } finally {
        this.#isBusy = false;
      }
    });
    this.buttons.replaceChildren(cancel, act);
    this.#show();
    // What cannot be taken back is not under the finger of whoever presses Enter once more.
    (isDanger ? cancel : act).focus();
  }

  #fill(title, body) {
    write(this.title, title);
    this.body.replaceChildren(...body.map((part) => (typeof part === 'string' ? h('p', {}, part) : part)));
    this.#tell('', '');
  }

  #show() {
    if (!this.element.open) this.element.showModal();
    this.title.focus();
  }

  #tell(tone, words) {
    this.result.className = `result ${tone && `tone-${tone}`}`;
    // Shown before it is written: a screen reader reads what changes in a region that is there.
    show(this.result, words !== '');
    write(this.result, words);
  }

  #closer(words, style) {
    return h('button', { type: 'button', class: style, onclick: () => this.close() }, words);
  }
}

/** Names and what they are, as a list of definitions. */
export function facts(entries) {
  return h(
    'dl',
    { class: 'facts' },
    ...entries
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) =>
        h('div', {}, h('dt', {}, name), h('dd', {}, value instanceof Node ? value : h('bdi', {}, value))),
      ),
  );
}
