// A double: what PROTOCOL.md says of documents of kind `updates`, over real sockets and without a store. It stands in for
// the hub until that kind is there, for one document.
import { once } from 'node:events';
import { WebSocketServer } from 'ws';
import { merge } from '../../js/yjs.mjs';

export class UpdatesHub {
  /** `{ offset, update, session }` of what is behind `state`. */
  log = [];
  /** `{ state, offset }` of what was merged or was taken as a snapshot. */
  merged = { state: null, offset: 0 };
  offset = 0;
  epoch = 'epoch-1';
  /** Whether what was missed is given to who comes back. */
  remembers = true;
  access = 'write';
  received = [];
  #sessions = new Map();
  #members = new Set();

  static async start({ port = 0 } = {}) {
    const hub = new UpdatesHub();
    hub.server = new WebSocketServer({ host: '127.0.0.1', port });
    await once(hub.server, 'listening');
    hub.base = `ws://127.0.0.1:${hub.server.address().port}`;
    hub.port = hub.server.address().port;
    hub.server.on('connection', (socket, request) => hub.#accept(socket, new URL(request.url, hub.base).searchParams));
    return hub;
  }

  /** Another process with the same store: it knows the log, and none of those who were there. */
  restart() {
    this.epoch = `epoch-${Number(this.epoch.slice(6)) + 1}`;
    this.#sessions.clear();
    for (const socket of this.server.clients) socket.terminate();
  }

  /** Merges the log, as the option `merge` does, and cuts it there. */
  cut() {
    const updates = this.log.map(({ update }) => update);
    if (updates.length > 0) this.merged = { state: merge(this.merged.state, updates), offset: this.offset };
    this.log = [];
  }

  /** Has one of those who are there give the merged state. */
  wantSnapshot() {
    const [member] = this.#members;
    member.asked = this.offset;
    member.say({ type: 'snapshot-wanted', offset: this.offset });
  }

  /** Puts an update into the log, as a route handler does. */
  submit(update, from = { clientID: 'agent' }) {
    this.offset += 1;
    this.log.push({ offset: this.offset, update, session: from.session });
    for (const member of this.#members)
      if (member !== from) member.say(this.#messageOf(this.log.at(-1), from.clientID));
  }

  /** What the whole document is. */
  get state() {
    const updates = this.log.map(({ update }) => update);
    return merge(this.merged.state, updates);
  }

  async close() {
    for (const socket of this.server.clients) socket.terminate();
    this.server.close();
    await once(this.server, 'close');
  }

  #messageOf({ offset, update }, clientID) {
    return { type: 'update', documentId: 'document', update, clientID, offset };
  }

  #accept(socket, query) {
    const [clientID, token] = [query.get('clientID'), query.get('token')];
    const session = this.#sessions.get(token) ?? { applied: 0 };
    const isKnown = this.#sessions.has(token);
    const newToken = `${clientID}-${Math.random()}`;
    this.#sessions.set(newToken, session);
    const member = { clientID, session, awareness: null, say: (message) => socket.send(JSON.stringify(message)) };
    const { epoch, offset } = this;
    const documentId = query.get('documentId');
    member.say({ type: 'connected', clientID, documentId, token: newToken, epoch, offset, kind: 'updates' });
    if (this.access !== 'write') member.say({ type: 'access', access: this.access });
    if (token !== null) this.#comeBack(member, query, isKnown);
    for (const { clientID: of, awareness } of this.#members) {
      if (awareness !== null) member.say({ type: 'awareness', documentId, awareness, clientID: of });
    }
    this.#members.add(member);
    socket.on('message', (data) => this.#obey(member, JSON.parse(data)));
    socket.on('close', () => this.#members.delete(member));
  }

  #comeBack(member, query, isKnown) {
    const from = Number(query.get('offset'));
    const upTo = isKnown ? member.session.applied : undefined;
    const missed = this.log.filter(({ offset }) => offset > from);
    if (query.get('epoch') !== this.epoch) member.say({ type: 'reload', reason: 'OTHER_EPOCH', upTo });
    else if (!this.remembers) member.say({ type: 'reload', reason: 'HISTORY_GONE', upTo });
    else {
      member.say({ type: 'recovered', from, to: this.offset, upTo });
      for (const entry of missed) if (entry.session !== member.session) member.say(this.#messageOf(entry, 'somebody'));
    }
  }

  #obey(member, message) {
    this.received.push(message);
    const { type, id, update, awareness } = message;
    if (type === 'update') this.#update(member, message);
    else if (type === 'ack') member.say({ type: 'ack', upTo: member.session.applied, offset: this.offset });
    else if (type === 'sync') this.#sync(member, message);
    else if (type === 'snapshot') this.#snapshot(member, message);
    else if (type === 'awareness') {
      member.awareness = awareness;
      for (const other of this.#members) {
        if (other !== member) other.say({ type, documentId: 'document', awareness, clientID: member.clientID });
      }
    } else throw new Error(`the double knows no ${type} ${id} ${update}`);
  }

  #update(member, { id, update, documentId }) {
    if (this.access !== 'write') {
      member.say({ type: 'error', message: 'read only', code: 'READ_ONLY', documentId });
    } else if (id === undefined || id > member.session.applied) {
      if (id !== undefined) member.session.applied = id;
      this.submit(update, member);
    }
  }

  #sync(member, { offset, documentId }) {
    const reaches = offset !== undefined && offset >= this.merged.offset;
    const from = reaches ? offset : this.merged.offset;
    if (!reaches) member.say({ type: 'state', documentId, state: this.merged.state, offset: from });
    for (const entry of this.log) if (entry.offset > from) member.say(this.#messageOf(entry, 'somebody'));
    member.say({ type: 'synced', documentId });
  }

  #snapshot(member, { offset, state }) {
    if (offset !== member.asked) return member.say({ type: 'error', message: 'nobody asked', code: 'UNEXPECTED' });
    this.merged = { state, offset };
    this.log = this.log.filter((entry) => entry.offset > offset);
  }
}
