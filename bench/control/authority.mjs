// Documents with an authority as the reference server of prosemirror.net has them, on npm `ws`: an array of steps, a
// version check, plain refusal. It speaks the hub's wire for documents of the kind `steps`, looks into no step, and stores
// by one fsync a batch, or not at all.
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import http from 'node:http';
import { WebSocketServer } from 'ws';

const EMPTY = { type: 'doc', content: [{ type: 'paragraph' }] };

class Document {
  members = new Set();
  /** The document at `start`, which the steps go on from. */
  start = 0;
  steps = [];
  clientIDs = [];
  /** ws to the newest presence of each. */
  presences = new Map();

  constructor(doc) {
    this.doc = doc;
  }

  get version() {
    return this.start + this.steps.length;
  }

  append(steps, clientID) {
    this.steps.push(...steps);
    for (const _ of steps) this.clientIDs.push(clientID);
  }

  /** What is needed from a version on; null where it is gone or was never there. */
  since(version) {
    const at = version - this.start;
    if (!(at >= 0 && version <= this.version)) return null;
    return { version, steps: this.steps.slice(at), clientIDs: this.clientIDs.slice(at) };
  }

  /** Forgets the oldest steps, which `apply` has put into the document. */
  trim(keep, apply) {
    const over = this.steps.length - keep;
    if (over <= 0) return;
    this.doc = apply(this.doc, this.steps.splice(0, over));
    this.clientIDs.splice(0, over);
    this.start += over;
  }
}

/** Everything that was accepted, a line a batch. A last line that is torn was shown to nobody, and is cut off. */
function readLog(file) {
  const text = readFileSync(file, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  truncateSync(file, Buffer.byteLength(whole));
  return whole
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/**
 * @param {object} [options]
 * @param {object} [options.doc] what every document begins with
 * @param {string} [options.log] file of all accepted batches, written and synced before they are shown
 * @param {number} [options.keep] steps that are kept, where there is `apply`; default all
 * @param {(doc: object, steps: object[]) => object} [options.apply]
 * @param {(clientID: string) => boolean} [options.isReader] who may not write
 */
export function createAuthority({ doc = EMPTY, log, keep = Infinity, apply, isReader = () => false } = {}) {
  const documents = new Map();
  const sockets = new WebSocketServer({ noServer: true });
  const server = http.createServer((request, response) => submitByHttp(request, response));
  const file = log === undefined ? undefined : openSync(log, 'a+');

  const documentOf = (id) => {
    if (!documents.has(id)) documents.set(id, new Document(doc));
    return documents.get(id);
  };
  if (log !== undefined) for (const { id, steps, clientID } of readLog(log)) documentOf(id).append(steps, clientID);

  const send = (ws, message) => ws.readyState === ws.OPEN && ws.send(JSON.stringify(message));

  function sendAll(document, message, except) {
    const text = JSON.stringify(message);
    for (const ws of document.members) if (ws !== except && ws.readyState === ws.OPEN) ws.send(text);
  }

  /** @returns false where the version is another */
  function submit(id, { version, steps, clientID, changeId }) {
    const document = documentOf(id);
    if (version !== document.version) return false;
    if (file !== undefined) {
      writeSync(file, `${JSON.stringify({ id, steps, clientID })}\n`);
      fsyncSync(file);
    }
    document.append(steps, clientID);
    if (apply) document.trim(keep, apply);
    const clientIDs = steps.map(() => clientID);
    sendAll(document, { type: 'steps', documentId: id, version, steps, clientIDs, clientID, changeId });
    return true;
  }

  const answers = {
    sync(ws, document, { version }) {
      const { documentId } = ws;
      send(ws, { type: 'synced', documentId, version: document.version });
      if (version > document.version) return send(ws, { type: 'reload', reason: 'UNKNOWN_VERSION' });
      if (version === document.version) return send(ws, { type: 'upToDate', version });
      let since = document.since(version);
      if (since === null) {
        send(ws, { type: 'sync', documentId, doc: document.doc, version: document.start });
        since = document.since(document.start);
      }
      if (since.steps.length > 0) send(ws, { type: 'steps', documentId, ...since });
    },

    steps(ws, document, { version, steps, clientID = ws.clientID }) {
      if (!Array.isArray(steps) || steps.length === 0) return refuse(ws, 'BAD_SHAPE', 'Invalid message format');
      if (isReader(ws.clientID)) return refuse(ws, 'READ_ONLY', 'Read only');
      if (clientID !== ws.clientID) return refuse(ws, 'WRONG_CLIENT', 'Wrong client');
      if (!submit(ws.documentId, { version, steps, clientID }))
        refuse(ws, 'VERSION_MISMATCH', 'Version not current', { version: document.version });
    },

    pullUpdates(ws, document, { version }) {
      const since = document.since(version);
      if (since === null) refuse(ws, 'HISTORY_GONE', 'History no longer available');
      else if (since.steps.length === 0) send(ws, { type: 'upToDate', version });
      else send(ws, { type: 'steps', documentId: ws.documentId, ...since });
    },

    presence(ws, document, message) {
      const presence = { ...message, clientID: ws.clientID };
      document.presences.set(ws, presence);
      sendAll(document, presence, ws);
    },
  };

  const refuse = (ws, code, text, more) => send(ws, { type: 'error', message: text, error: text, code, ...more });

  function receive(ws, data) {
    let message;
    try {
      message = JSON.parse(data.toString());
    } catch {
      return refuse(ws, 'BAD_JSON', 'Invalid message format');
    }
    const { type, documentId = ws.documentId } = message;
    if (documentId !== ws.documentId) return refuse(ws, 'WRONG_DOCUMENT', 'Invalid message format');
    if (!Object.hasOwn(answers, type)) return refuse(ws, 'UNKNOWN_TYPE', 'Invalid message format');
    answers[type](ws, documentOf(documentId), message);
  }

  function join(ws, documentId, clientID) {
    const document = documentOf(documentId);
    Object.assign(ws, { documentId, clientID });
    document.members.add(ws);
    ws.on('message', (data) => receive(ws, data));
    ws.on('error', () => ws.terminate());
    ws.on('close', () => {
      document.members.delete(ws);
      const presence = document.presences.get(ws);
      document.presences.delete(ws);
      if (presence) sendAll(document, { type: 'user_left', clientID, userId: presence.userId });
    });
    send(ws, { type: 'connected', clientID, documentId, kind: 'steps', version: document.version });
    for (const presence of document.presences.values()) send(ws, presence);
  }

  server.on('upgrade', (request, socket, head) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    sockets.handleUpgrade(request, socket, head, (ws) => {
      const documentId = searchParams.get('documentId');
      if (pathname !== '/ws/fabric') ws.close(1003, `No handler for ${pathname}`);
      else if (!documentId) ws.close(1003, 'Missing documentId or clientID');
      else join(ws, documentId, searchParams.get('clientID') || randomUUID());
    });
  });

  /** The door of agents: `POST /steps` with `{ documentId, version, steps, clientID }`. */
  async function submitByHttp(request, response) {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    const { documentId, clientID = 'agent', ...batch } = JSON.parse(body || '{}');
    const isTaken = request.url === '/steps' && submit(documentId, { clientID, ...batch });
    const { version } = documentOf(documentId);
    response.writeHead(isTaken ? 200 : 409, { 'content-type': 'application/json' }).end(JSON.stringify({ version }));
  }

  return {
    server,
    documentOf,
    /** Has everybody in a document told something. */
    tell: (id, message) => sendAll(documentOf(id), message),
    close() {
      for (const { members } of documents.values()) for (const ws of members) ws.terminate();
      if (file !== undefined) closeSync(file);
      return new Promise((closed) => server.close(closed));
    },
  };
}
