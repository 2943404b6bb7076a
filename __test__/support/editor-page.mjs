// A page with a ProseMirror editor in it, made of the packages' own modules without a bundler, for real browsers.
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { ROOT } from './hub-server.mjs';

const PACKAGES = {
  ...Object.fromEntries(
    ['collab', 'commands', 'history', 'keymap', 'model', 'schema-basic', 'state', 'transform', 'view'].map((name) => [
      `prosemirror-${name}`,
      `/node_modules/prosemirror-${name}/dist/index.js`,
    ]),
  ),
  orderedmap: '/node_modules/orderedmap/dist/index.js',
  'rope-sequence': '/node_modules/rope-sequence/dist/index.js',
  'w3c-keyname': '/node_modules/w3c-keyname/index.js',
};

const PAGE = `<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Editor</title>
<style>
  body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.6 system-ui, sans-serif }
  .ProseMirror { white-space: pre-wrap; border: 1px solid #ccc; border-radius: 6px; padding: .5rem 1rem; min-height: 8rem }
</style>
<script type="importmap">${JSON.stringify({ imports: PACKAGES })}</script>
<p role="status"></p>
<div id="editor"></div>
<script type="module">
  import { baseKeymap } from 'prosemirror-commands';
  import { history, redo, undo } from 'prosemirror-history';
  import { keymap } from 'prosemirror-keymap';
  import { schema } from 'prosemirror-schema-basic';
  import { EditorState } from 'prosemirror-state';
  import { EditorView } from 'prosemirror-view';
  import { fabricCollab } from '/js/prosemirror.mjs';

  // The client is CommonJS, which bundlers read and browsers do not.
  const modules = new Map();
  async function load(url) {
    const text = await (await fetch(url)).text();
    const needed = new Map();
    for (const [, name] of text.matchAll(/require\\('([^']+)'\\)/g)) needed.set(name, await load(new URL(name, url)));
    const module = { exports: {} };
    if (!modules.has(url.href)) {
      new Function('module', 'require', text)(module, (name) => needed.get(name));
      modules.set(url.href, module.exports);
    }
    return modules.get(url.href);
  }
  const { FabricClient } = await load(new URL('/js/client.js', location));

  const { url, documentId, userName, userColor } = Object.fromEntries(new URLSearchParams(location.search));
  const client = new FabricClient({ url, documentId, clientID: crypto.randomUUID() });
  const show = ({ state, version }) => {
    const line = document.querySelector('[role=status]');
    line.textContent = state + (version === null ? '' : ', version ' + version);
    line.dataset.state = state;
  };
  const plugins = [
    history(),
    keymap({ 'Mod-z': undo, 'Mod-y': redo }),
    keymap(baseKeymap),
    ...fabricCollab(client, { user: { userName, userColor }, onStatus: show }),
  ];
  window.client = client;
  window.view = new EditorView(document.querySelector('#editor'), { state: EditorState.create({ schema, plugins }) });
</script>
`;

/** Serves the page; answers `{ url, close() }`. */
export async function serveEditorPage() {
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/') return response.setHeader('content-type', 'text/html').end(PAGE);
    try {
      const text = await fs.readFile(path.join(ROOT, path.posix.normalize(pathname)));
      response.setHeader('content-type', 'text/javascript').end(text);
    } catch {
      response.writeHead(404).end();
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close() {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
}
