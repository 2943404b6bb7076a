// A hub with the admin page beside it, reached by real Chromium. Who has the cookie may see the page.
import { createAdminRoute } from '@captify-io/hub/admin';
import { HubServer } from './hub-server.mjs';
import { routeListener } from './route-server.mjs';

const COOKIE = 'administrator';
export const PATH = '/admin/hub';

export class AdminStage {
  /** Security events, as the app's own log gets them. */
  events = [];
  /** How many requests for data there were, and how many at once. */
  asked = { now: 0, most: 0, ever: 0 };
  /** While it is true connections of browsers are cut, as where the server is gone. */
  isGone = false;

  /** @param options of the hub */
  static async start(options = {}) {
    const stage = new AdminStage();
    const authorize = (request) => {
      const name = new RegExp(`${COOKIE}=([^;]+)`).exec(request.headers.get('cookie') ?? '')?.[1];
      return name !== undefined && { name: decodeURIComponent(name) };
    };
    const serve = routeListener(createAdminRoute({ authorize }));
    stage.server = await HubServer.start({
      session: (request) => ({ id: new URL(request.url, 'http://hub').searchParams.get('user') ?? 'somebody' }),
      access: () => 'write',
      onSecurityEvent: (event) => stage.events.push(event),
      listener: (request, response) => stage.#answer(request, response, serve),
      ...options,
    });
    stage.url = `http://127.0.0.1:${stage.server.port}${PATH}`;
    return stage;
  }

  async #answer(request, response, serve) {
    if (this.isGone) return request.socket.destroy();
    if (!request.url.startsWith(PATH)) return response.writeHead(404).end();
    const isData = request.url.includes('?data=');
    if (isData) {
      this.asked.ever += 1;
      this.asked.now += 1;
      this.asked.most = Math.max(this.asked.most, this.asked.now);
    }
    await serve(request, response);
    if (isData) this.asked.now -= 1;
  }

  /** A client of a document, with a user of its own. */
  async join(documentId, user, clientID) {
    const client = this.server.open(`/ws/fabric?${new URLSearchParams({ documentId, clientID, user })}`);
    await client.received(({ type }) => type === 'connected');
    return client;
  }

  /** The latest event of a code. */
  logged(code) {
    return this.events.findLast((event) => event.code === code);
  }

  /** The cookie that lets a browser in, as Playwright takes it. */
  cookie(name = 'Ada') {
    return { name: COOKIE, value: encodeURIComponent(name), domain: '127.0.0.1', path: '/' };
  }

  close() {
    return this.server.close();
  }
}
