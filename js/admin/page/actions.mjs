// What can be done, and how it is asked for, confirmed and told.
import { facts } from './dialog.mjs';
import { h } from './dom.mjs';
import { age, bytes, moment, plural, visible } from './format.mjs';

const MAY = { write: 'read and write', read: 'only read', none: 'have no access' };

export class Actions {
  #dialog;
  #send;

  /**
   * @param {import('./dialog.mjs').Dialog} dialog
   * @param {(action: object) => Promise<unknown>} send does it, and answers its result
   */
  constructor(dialog, send) {
    this.#dialog = dialog;
    this.#send = send;
  }

  /** A connection with all that is known of it, and what can be done about it. */
  manage(connection) {
    const { id, userId, document } = connection;
    const choices = [{ words: 'Disconnect…', isDanger: true, onPress: () => this.#disconnect(connection) }];
    if (userId) choices.unshift({ words: 'Disconnect user…', onPress: () => this.#disconnectUser(userId) });
    if (userId && document) choices.unshift({ words: 'Change access…', onPress: () => this.#setAccess(connection) });
    const at = connection.connectedAt;
    this.#dialog.open(
      'Connection',
      [
        facts([
          ['User', userId ? visible(userId) : 'not known'],
          ['Client', connection.clientId && visible(connection.clientId)],
          ['Document', document && visible(document)],
          ['Access', connection.access],
          ['Address', connection.address],
          ['Path', visible(connection.path)],
          ['Connected', `${moment(at)}, ${age(Date.now() - at)} ago`],
          ['Idle for', age(connection.idleMs)],
          ['Waiting', `${bytes(connection.waitingBytes)}${connection.slow ? ', slow' : ''}`],
          ['Connection', id],
        ]),
      ],
      choices,
    );
  }

  recheck(documentId) {
    this.#dialog.confirm({
      title: 'Recheck access?',
      body: [
        named('The app is asked again about every connection of ', documentId, ', once a user.'),
        'Whoever may not be there any more is disconnected. Where the app fails, connections are closed and come back.',
      ],
      words: 'Recheck',
      run: async () => {
        const number = await this.#send({ action: 'recheckAccess', documentId });
        return `Done: ${plural(number, 'connection was', 'connections were')} decided about anew.`;
      },
    });
  }

  save(documentId) {
    this.#dialog.confirm({
      title: 'Save now?',
      body: [named('The app is given ', documentId, ' to save, without waiting until its editors pause.')],
      words: 'Save now',
      run: async () => {
        const result = await this.#send({ action: 'saveDocument', documentId });
        return result === 'nothing' ? 'There was nothing to save.' : 'Saved.';
      },
    });
  }

  #disconnect(connection) {
    const who = connection.userId ? visible(connection.userId) : (connection.address ?? 'somebody');
    this.#dialog.confirm({
      title: 'Disconnect this connection?',
      body: [
        named('One connection of ', who, ' is closed. Other windows of theirs stay.'),
        'Its page stays away until it is loaded again. This keeps nobody out.',
      ],
      words: 'Disconnect',
      isDanger: true,
      run: async () => {
        const isDone = await this.#send({ action: 'disconnectConnection', id: connection.id });
        return isDone ? 'Done: the connection was closed.' : 'The connection had gone already.';
      },
    });
  }

  #disconnectUser(userId) {
    this.#dialog.confirm({
      title: 'Disconnect this user?',
      body: [
        named('Every connection of ', userId, ' is closed, in all documents.'),
        'Their pages stay away until they are loaded again. To keep a user out, end their session or their access in the app.',
      ],
      words: 'Disconnect user',
      isDanger: true,
      run: async () => {
        const number = await this.#send({ action: 'disconnectUser', userId });
        return `Done: ${plural(number, 'connection was', 'connections were')} closed.`;
      },
    });
  }

  #setAccess({ userId, document, access }) {
    const options = Object.entries(MAY).map(([value, words]) =>
      h('option', { value, selected: value === access }, words),
    );
    const select = h('select', { id: 'access' }, ...options);
    this.#dialog.confirm({
      title: 'Change access?',
      body: [
        named('In ', document, ','),
        h('p', { class: 'field' }, h('label', { for: 'access' }, bdi(userId), ' may '), select),
        'This holds for the connections that are open now. Who comes back is decided about by the app.',
      ],
      words: 'Change access',
      run: async () => {
        const chosen = select.value === 'none' ? false : select.value;
        const number = await this.#send({ action: 'setAccess', userId, documentId: document, access: chosen });
        return `Done: ${plural(number, 'connection')} now may ${MAY[select.value].replace('have no access', 'not be here')}.`;
      },
    });
  }
}

const bdi = (text) => h('bdi', { class: 'name' }, visible(text));
const named = (before, name, after) => h('p', {}, before, bdi(name), after);
