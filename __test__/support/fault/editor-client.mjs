// An editor of a document with an authority as the package ships it: real prosemirror-collab, without a view.
import { sendableSteps } from 'prosemirror-collab';
import { Schema } from 'prosemirror-model';
import { EditorState } from 'prosemirror-state';
import { CollabSession, fabricCollab, fabricStatus } from '../../../js/prosemirror.mjs';
import { labelOfStep, labelsIn } from './labels.mjs';
import { connectedClient } from './shipped-client.mjs';

/** A document is a list of labels. */
const schema = new Schema({
  nodes: { doc: { content: 'label*' }, label: { attrs: { label: {} } }, text: {} },
});

export class EditorClient {
  #client;
  #session;
  #ended = false;
  /** Labels that were written before the document was there. */
  #waiting = [];
  /** Labels of the steps that were not confirmed when it was looked last, oldest first. */
  #unconfirmed = [];
  /** What the session has told of a document that came anew, until it is looked at. */
  #reload = null;

  constructor({ log, ...common }) {
    Object.assign(this, { clientID: common.clientID, documentId: common.documentId, log });
    this.#client = connectedClient({ log, ...common }, { isEnded: () => this.#ended, reloaded: () => [] });
    this.state = EditorState.create({ schema, plugins: fabricCollab(this.#client) });
    this.#session = new CollabSession(this, this.#client, {
      onReload: (reload) => (this.#reload = reload),
      onError: ({ code, message }) => log.wrong(`the editor says ${code}: ${message}; ${this.#client.lately()}`),
    });
    this.#client.on('message', (message) => this.#receive(message));
  }

  /** Where the session sends its transactions. */
  dispatch = (transaction) => {
    this.state = this.state.apply(transaction);
  };

  get unacknowledged() {
    return this.#waiting.length + this.#unconfirmed.length;
  }

  get document() {
    return { version: this.status.version, labels: labelsIn(this.state.doc.toJSON()) };
  }

  get status() {
    return fabricStatus(this.state);
  }

  get offset() {
    return ['saving', 'stored', 'saved'].includes(this.status.state) ? this.#client.seen : -1;
  }

  connect() {
    this.#session.start();
    // Behind the session's own, so that it has done what is to be done.
    this.#client.on('message', () => this.#look());
  }

  send(label) {
    this.#waiting.push(label);
    this.#write();
  }

  end() {
    this.#ended = true;
    this.#session.stop();
    this.#client.close();
  }

  #write() {
    if (this.status.version === null) return;
    for (const label of this.#waiting.splice(0)) {
      this.#unconfirmed.push(label);
      this.dispatch(this.state.tr.insert(this.state.doc.content.size, schema.node('label', { label })));
    }
    this.#session.update();
  }

  #receive(message) {
    const { type, version, steps, offset } = message;
    if (type === 'steps' && offset !== undefined) {
      this.log.receivedSteps(offset, message, { version, labels: steps.map(labelOfStep) });
    }
    if (type === 'reload') this.log.replaced(message);
  }

  /** What became of what was written: it stands, or nobody knows since the document came anew. */
  #look() {
    const left = new Set((sendableSteps(this.state)?.steps ?? []).map((step) => labelOfStep(step.toJSON())));
    const gone = this.#unconfirmed.filter((label) => !left.has(label));
    this.#unconfirmed = this.#unconfirmed.filter((label) => left.has(label));
    const uncertain = this.#reload?.uncertain ?? 0;
    for (const [index, label] of gone.entries()) {
      if (!this.#reload) this.log.acknowledged(label);
      else this.log.fates.set(label, index < uncertain ? 'unknown' : 'unpublished');
    }
    this.#reload = null;
    this.#write();
  }
}
