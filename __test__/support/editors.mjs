// Editors of documents with an authority, without a view: real prosemirror-collab over real sockets.
import { EditorState } from 'prosemirror-state';
import { history } from 'prosemirror-history';
import { schema as basic } from 'prosemirror-schema-basic';
import { CollabSession, fabricCollab, fabricPeers, fabricStatus } from '../../js/prosemirror.mjs';
import { uniqueId } from './hub-server.mjs';
import { until } from './processes.mjs';
import { RecordedClient } from './recorded-client.mjs';

export const schema = basic;

/** A document of paragraphs. */
export const paragraphs = (...texts) =>
  schema.node(
    'doc',
    null,
    texts.map((text) => schema.node('paragraph', null, text ? [schema.text(text)] : [])),
  );

export class Editor {
  /** What the session has told. */
  statuses = [];
  reloads = [];
  errors = [];

  /**
   * @param {string} base `ws://host:port` of a server that has documents of the kind `steps`
   * @param {object} [options] of the client; `plugins` go into the state, `schema` is another than the basic one
   */
  constructor(base, documentId, { plugins = [], schema: own = schema, ...options } = {}) {
    const clientID = uniqueId('editor');
    this.client = new RecordedClient({ url: `${base}/ws/fabric`, documentId, clientID, ...options });
    this.state = EditorState.create({ schema: own, plugins: [history(), ...plugins, ...fabricCollab(this.client)] });
    this.session = new CollabSession(this, this.client, {
      onStatus: (status) => this.statuses.push(status),
      onReload: (reload) => this.reloads.push(reload),
      onError: (error) => this.errors.push(error),
    });
    this.session.start();
  }

  /** Where the session and commands send their transactions. */
  dispatch = (transaction) => {
    this.state = this.state.apply(transaction);
    this.onTransaction?.(transaction);
  };

  /** Does something as the user does, who is told of it. */
  do(deed) {
    deed(this.state, (transaction) => {
      this.dispatch(transaction);
      this.session.update();
    });
  }

  /** Puts text in at a position, by default the end of the first block. */
  type(text, at = this.state.doc.firstChild.nodeSize - 1) {
    this.do((state, dispatch) => dispatch(state.tr.insertText(text, at)));
  }

  get status() {
    return fabricStatus(this.state);
  }

  get text() {
    return this.state.doc.textBetween(0, this.state.doc.content.size, '\n');
  }

  get peers() {
    return fabricPeers(this.state);
  }

  /** Resolves when the status is one of these. */
  is(...states) {
    const what = () => `${states}; it is ${JSON.stringify([this.status, this.text])}`;
    return until(what, () => states.includes(this.status.state), { everyMs: 5 });
  }

  /** Resolves when the document is there and nothing waits. */
  isSettled() {
    return this.is('stored', 'saved');
  }

  /** Resolves when the text is this one. */
  shows(text) {
    const what = () => `${JSON.stringify(text)}; there is ${JSON.stringify([this.text, this.status])}`;
    return until(what, () => this.text === text, { everyMs: 5 });
  }

  close() {
    this.session.stop();
    this.client.close();
  }
}
