// What the documents promise is what the code has: no more, and no less.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import {
  ROOT,
  all,
  anchors,
  chapter,
  documents,
  filesOf,
  firstColumn,
  prose,
  read,
  section,
  sourceWith,
  sources,
} from './support/documents.mjs';

const rust = sources('src', '.rs');
const javascript = sources('js', 'js');
const declarations = [
  'index.d.ts',
  'documents.d.ts',
  'monitoring.d.ts',
  'sockets.d.ts',
  'server.d.ts',
  'client.d.ts',
  'agent.d.ts',
  'admin.d.ts',
  'agent-client.d.mts',
  'prosemirror.d.mts',
  'yjs.d.mts',
]
  .map((name) => read(name))
  .join('\n');

/** Names of an interface's properties. */
const properties = (file, name) =>
  all(section(read(file), `interface ${name}`, '\n}'), /^ {2}(?:readonly )?(\w+)\??[:(]/gm);

/** Keys of an object literal that stands at the left edge of a file. */
const keys = (text, begin) => all(section(text, begin, '\n};'), /^ {2}(\w+)[:(]/gm);

const UPPER = /`([A-Z]+(?:_[A-Z\d]+)+)`/g;

test('a list that would be empty, a section that is gone and one that is there twice fail their tests', () => {
  assert.throws(() => all('no message here', /"type":"(\w+)"/g), /looks like/);
  assert.throws(() => section('## A\n## B', '## C', '## '), /there is no ## C/);
  assert.throws(() => section('## A', '## A', '## '), /nothing ends/);
  assert.throws(() => section('## A ## A ##', '## A', '##'), /more than one ## A/);
  assert.throws(() => chapter('docs/options.md', '## No such heading'), /there is no/);
  assert.throws(() => firstColumn('no table'), /there is no table/);
  assert.throws(() => sourceWith('src', '.rs', 'no file has these words'), /is in 0 files/);
});

test('every error code of the source is in index.d.ts and in the documents, and no other', () => {
  const used = all(rust + javascript, /['"](HUB_[A-Z_]+)['"]/g).filter((code) => code !== 'HUB_');
  assert.deepEqual(all(read('index.d.ts'), /\| '(HUB_[A-Z_]+)'/g), used);
  assert.deepEqual(firstColumn(chapter('docs/options.md', '## Error codes'), UPPER), used);
});

test('every close code of the source is in the documents, and no other', () => {
  const used = all(sourceWith('src', '.rs', 'REPLACED: u16'), /pub const [A-Z_0-9]+: u16 = (\d+);/g);
  const told = firstColumn(chapter('docs/protocol.md', '## Close codes'), /^ (\d{4}) $/gm);
  assert.deepEqual(told, used);
  for (const code of all(javascript, /closeCode: (\d{4})/g)) assert.ok(told.includes(code), code);
});

test('every HTTP status of a refusal is in the documents, and no other', () => {
  const native = all(rust, /Refusal::new\(\s*(\d{3}),/g);
  const scripted = all(sourceWith('js', '.js', 'const TEXTS'), /^ {2}(\d{3}): '/gm);
  const told = firstColumn(chapter('docs/protocol.md', '## Answers before the handshake'), /(\d{3})/g);
  assert.deepEqual(told, [...new Set([...native, ...scripted])].sort());
});

test('every option of the hub is declared, checked and documented', () => {
  const declared = properties('server.d.ts', 'HubOptions');
  assert.deepEqual(keys(sourceWith('js', '.js', 'registrationTimeoutMs: ('), 'const CHECKS = {'), declared);
  assert.deepEqual(firstColumn(chapter('docs/options.md', '## Options of the hub')), declared);
});

test('every limit is declared, checked and documented', () => {
  const declared = properties('server.d.ts', 'LimitOptions');
  const checked = keys(sourceWith('js', '.js', 'connectionsPerAddress: '), 'const DEFAULTS = {');
  assert.deepEqual([...checked, 'waiting'].sort(), declared);
  assert.deepEqual(firstColumn(chapter('docs/options.md', '## Limits')), declared);
});

test('every option of startServer and of authJs is declared and documented', () => {
  const told = (heading) => firstColumn(chapter('docs/options.md', heading));
  assert.deepEqual(told('## Options of startServer'), properties('server.d.ts', 'ServerOptions'));
  assert.deepEqual(told('## Options of authJs'), properties('server.d.ts', 'AuthJsOptions'));
});

test('every option of the browser client and every event of it is declared and documented', () => {
  const declared = properties('client.d.ts', 'FabricClientOptions');
  assert.deepEqual(firstColumn(chapter('docs/client.md', '## Options')), declared);
  const source = sourceWith('js', '.js', 'longestWaitMs: 30_000');
  assert.deepEqual(
    keys(source, 'const NUMBERS = {').filter((name) => !declared.includes(name)),
    [],
  );
  const events = firstColumn(chapter('docs/client.md', '## Events'));
  assert.deepEqual(events, properties('client.d.ts', 'FabricEvents'));
});

test('every option of createAgentHandler and of its transport is declared, checked and documented', () => {
  const declared = properties('agent.d.ts', 'AgentOptions');
  const source = sourceWith('js', '.js', 'slowWatcherMs: {');
  const checked = ['const NUMBERS = {', 'const CHECKS = {'].flatMap((table) => keys(source, table));
  assert.deepEqual(checked.sort(), declared);
  assert.deepEqual(firstColumn(chapter('docs/agents.md', '## Options')), declared);
  const ofTransport = all(
    section(read('agent-client.d.mts'), 'interface AgentChatTransportOptions', '\n}'),
    /^ {2}(\w+)\?[:(]/gm,
  );
  assert.deepEqual(firstColumn(chapter('docs/agents.md', '## Options of the transport')), ofTransport);
});

test('every option, state and code of the plugin for ProseMirror is declared and documented', () => {
  const page = 'docs/prosemirror.md';
  const options = ['FabricCollabOptions extends FabricCollabEvents', 'FabricCollabEvents'].flatMap((name) =>
    all(section(read('prosemirror.d.mts'), `interface ${name} {`, '\n}'), /^ {2}(\w+)\?[:(]/gm),
  );
  assert.deepEqual(firstColumn(chapter(page, '## What to give it')), options.sort());
  const declared = (name) => all(section(read('prosemirror.d.mts'), `type ${name} =`, ';'), /'(\w+)'/g);
  assert.deepEqual(firstColumn(chapter(page, '## States')), declared('FabricCollabState'));
  const session = sources('js/prosemirror', '.mjs');
  for (const state of declared('FabricCollabState')) assert.match(session, new RegExp(`'${state}'`));
  const codes = declared('FabricCollabErrorCode');
  assert.deepEqual(firstColumn(chapter(page, '## Errors')), codes);
  for (const code of codes) assert.match(session, new RegExp(`'${code}'`));
});

test('every argument of the command line is documented, and no other', () => {
  const table = section(read('js', 'next', 'command-line.js'), 'const OPTIONS', '\n};');
  const known = [
    ...all(table, /^ {2}(\w+):/gm).map((name) => `--${name}`),
    ...all(table, /short: '(\w)'/g).map((name) => `-${name}`),
  ];
  const told = firstColumn(chapter('docs/options.md', '## Command line'));
  assert.deepEqual(told, known.sort());

  const script = (name) => all(section(read('scripts', name), 'options: {', '\n  },'), /^ {4}'?([\w-]+)'?:/gm);
  const ours = new Set([
    ...known,
    ...all(read('js', 'cli.js'), /options: \{ (\w+):/g).map((name) => `--${name}`),
    ...script('fault.mjs').map((name) => `--${name}`),
    ...all(read('bench', 'typists.mjs'), /^ {4}(\w+): \{ type/gm).map((name) => `--${name}`),
    ...['update', 'only', 'quick'].map((name) => `--${name}`),
  ]);
  // Of Node, npm, cargo, docker, PM2 and create-next-app.
  const foreign = [
    '--max-http-header-size',
    '--max-old-space-size',
    '--ignore-scripts',
    '--no-default-features',
    '--test',
    '--open',
    '--ulimit',
    '--parallel',
  ];
  const named = documents().flatMap((name) => [...prose(name).matchAll(/`[^`\n]*`/g)].flatMap(([code]) => flags(code)));
  assert.ok(named.length > 20, `${named}`);
  assert.deepEqual(
    named.filter((flag) => !ours.has(flag) && !foreign.includes(flag)),
    [],
  );
  for (const flag of ['--glibc', ...script('fault.mjs').map((name) => `--${name}`)]) {
    assert.ok(named.includes(flag), flag);
  }
});

const flags = (code) => [...code.matchAll(/(?<=[\s`])--[a-z][\w-]*/gi)].map(([flag]) => flag);

test('every variable of the environment that is read is documented', () => {
  const read = [
    ...all(javascript, /\benv\.([A-Z][A-Z_\d]+)/g),
    ...all(javascript, /fromEnvironment\('([A-Z_]+)'/g),
  ].filter((name) => name !== 'HOSTNAME');
  const documented = chapter('docs/options.md', '## Environment');
  const told = firstColumn(documented, /`([A-Z][A-Z_\d]+)`/g);
  // The one in the middle of "`AUTH_SECRET_1` to `AUTH_SECRET_3`".
  assert.deepEqual([...told, 'AUTH_SECRET_2'].sort(), [...new Set(read)].sort());
  assert.match(documented, /`HOSTNAME` is not read/);
});

test('every message of the hub, of route handlers and of clients is in the documents, and no other', () => {
  const native = all(rust, /"type":"([\w-]+)"/g);
  const routes = all(read('js', 'index.js') + read('js', 'hub', 'documents.js'), /\btype"?: ?['"]([\w-]+)['"]/g);
  const understoodBy = (parse) => {
    const parser = section(sourceWith('src', '.rs', parse), parse, '\n}\n');
    return [...all(parser, /^ *"([\w-]+)" => (?!return)/gm), ...all(parser, /kind == "([\w-]+)"/g)];
  };
  const understood = understoodBy('pub fn parse<');
  const withAuthority = understoodBy('pub fn parse_steps<');
  const keepingUpdates = understoodBy('pub fn parse_updates<');
  // One of each place that sends: were such a file no longer read, its messages would be missing here.
  for (const type of ['connected', 'synced', 'recovered', 'reload', 'ack', 'update', 'steps', 'error', 'session']) {
    assert.ok(native.includes(type), type);
  }
  assert.ok(routes.includes('agent-change-pending') && routes.includes('steps'), routes.join());
  const known = [...new Set([...native, ...routes, ...understood, ...withAuthority, ...keepingUpdates])].sort();
  assert.deepEqual(all(read('docs/protocol.md'), /"type": ?"([\w-]+)"/g), known);
  for (const page of documents().filter((name) => !/agents|handlers/.test(name))) {
    for (const [, type] of read(page).matchAll(/"type": ?"([\w-]+)"/g))
      assert.ok(known.includes(type), `${page}: ${type}`);
  }
  const sent = firstColumn(chapter('docs/protocol.md', '## Messages').split('The hub says')[0], /"type":"([\w-]+)"/g);
  assert.deepEqual(sent, understood.sort());
  for (const [heading, types, changed] of [
    ['## Documents with an authority', withAuthority, ['sync', 'steps']],
    ['## Documents that keep their updates', keepingUpdates, ['sync', 'update']],
  ]) {
    const table = section(chapter('docs/protocol.md', heading), '| a client sends', '\n\n');
    // The others are as in a relay.
    const own = types.filter((type) => !understood.includes(type) || changed.includes(type));
    assert.deepEqual(firstColumn(table, /"type":"([\w-]+)"/g).sort(), own.sort(), heading);
  }
});

test('every code of an error or a reload is in the documents, and no other', () => {
  const answered = all(rust, /=> "([A-Z]+(?:_[A-Z]+)+)"/g).filter((code) => !code.startsWith('HUB_'));
  const written = all(rust, /"code":"([A-Z_]+)"/g).filter((code) => code !== 'SUPPRESSED'); // a security event
  const codes = [...new Set([...answered, ...written])].sort();
  for (const code of ['BAD_JSON', 'OTHER_EPOCH', 'RATE_LIMITED']) assert.ok(codes.includes(code), code);
  const told = ['## Errors', '## Coming back'].flatMap((heading) =>
    firstColumn(chapter('docs/protocol.md', heading), /`([A-Z]+(?:_[A-Z]+)+|UNEXPECTED)`/g),
  );
  // One of them may be told as an error and as a reason to reload.
  assert.deepEqual([...new Set(told)].sort(), codes);
});

test('every security event is in the documents, and no other', () => {
  const native = all(sourceWith('src', '.rs', '"TOKEN_REFUSED"'), /"([A-Z]+(?:_[A-Z]+)+)"/g);
  const scripted = all(sources('js/admission', '.js'), /'([A-Z]+(?:_[A-Z]+)+)'/g).filter(
    (code) => !code.startsWith('HUB_'),
  );
  assert.ok(native.includes('BAD_FRAME') && scripted.includes('ORIGIN_REFUSED'));
  const told = firstColumn(chapter('docs/security.md', '## Events'), /`([A-Z_]+)`/g);
  assert.deepEqual(told, [...new Set([...native, ...scripted, 'SUPPRESSED'])].sort());
});

test('every code and message of the agent wire is declared and documented', () => {
  const wire = chapter('docs/agents.md', '## The wire');
  const codes = keys(read('js', 'agent', 'messages.js'), 'const MESSAGES = {');
  assert.deepEqual(all(read('agent.d.ts'), /\| '([A-Z_]+)'/g), codes);
  assert.deepEqual(firstColumn(wire, /`([A-Z_]+)`/g), codes);
  const declared = read('agent.d.ts');
  const asked = all(section(declared, 'type AgentClientMessage', ';\n\n'), /type: '(\w+)'/g);
  const told = all(section(declared, 'type AgentServerMessage', '};\n'), /type: '(\w+)'/g);
  assert.deepEqual(all(wire, /"type":"(\w+)"/g), [...asked, ...told].sort());
  // A part is put together before it acts.
  const handler = sourceWith('js/agent', '.js', 'const ACTIONS');
  const actions = all(section(handler, 'const ACTIONS', '\n};'), /^ {2}(\w+)/gm);
  assert.deepEqual([...actions, ...all(handler, /message\.type === '(\w+)'/g)].sort(), asked);
  assert.deepEqual(all(sources('js/agent', '.js'), /(?:\btype: |#(?:head|ending)\()'(\w+)'/g), told);
});

/** What the documents name that is not of this package's code. */
const FOREIGN = [
  // The older server of captify's platform, and its tables.
  'spaceId',
  'yjsState',
  'updateNote',
  'getInstance',
  'keepInStep',
  'AsyncIterable',
  'convertToModelMessages',
  'originalMessages',
  'generateMessageId',
  'handleConnection',
  'outputFileTracingIncludes',
  'serverExternalPackages',
  'transpilePackages',
  'destroyUpgrade',
  'noServer',
  'useChat',
  'setupWSConnection',
  'createWebSocketStream',
  'sessionStorage',
  'kill_timeout',
  'ySyncPlugin',
  'yCursorPlugin',
  'yUndoPlugin',
  'undoRedo',
  'yCollab',
  'withCollaboration',
  'useCreateBlockNote',
];
const FOREIGN_UPPER = [
  'OPENAI_API_KEY',
  'SCHED_BATCH',
  'F_DUPFD_CLOEXEC',
  'HUB_EXAMPLE_BLOCK',
  'HUB_EXAMPLE_DATA',
  'NODE_OPTIONS',
  'NODE_APP_INSTANCE',
];

test('every name and code in the documents is one that the code has', () => {
  const example = sources('example/lib', '.ts') + sources('example/handlers', '.ts');
  const tests = read('__test__', 'support', 'hub-server.mjs');
  const words = new Set((rust + javascript + declarations + example + tests).match(/[A-Za-z_$][\w$]*/g));
  let seen = 0;
  for (const name of documents()) {
    const text = prose(name);
    const codes = [...text.matchAll(UPPER)].map(([, code]) => code);
    const names = [...text.matchAll(/`(?:[\w.]+\.)?([a-z]+[A-Z]\w*)(?:\(.*?\))?`/g)].map(([, code]) => code);
    seen += codes.length + names.length;
    const unknown = [...codes, ...names].filter(
      (word) => !words.has(word) && !FOREIGN.includes(word) && !FOREIGN_UPPER.includes(word),
    );
    assert.deepEqual(unknown, [], name);
  }
  assert.ok(seen > 300, `only ${seen} names were looked at`);
});

test('every file, folder and type that the architecture names is there', () => {
  const text = prose('docs/architecture.md');
  const roots = ['', 'src', 'js', 'js/hub', 'src/recovery', 'src/connection'];
  const isThere = (name) => roots.some((root) => fs.existsSync(path.join(ROOT, root, name)));
  const files = all(text, /`((?:[\w.-]+\/)+(?:[\w.-]+\.\w+)?)`/g).filter((name) => !name.startsWith('/'));
  assert.ok(files.length > 60, `only ${files}`);
  assert.deepEqual(
    files.filter((name) => !isThere(name)),
    [],
  );
  const names = new Set([...filesOf('src', ''), ...filesOf('js', '')].map((name) => path.basename(name)));
  const bare = all(text, /`([\w-]+\.(?:rs|js|mjs))`/g).filter((name) => !['server.mjs'].includes(name));
  assert.deepEqual(
    bare.filter((name) => !names.has(name)),
    [],
  );
  const words = new Set((rust + javascript + declarations).match(/\w+/g));
  const types = all(text, /`([A-Z][a-z]\w+)(?:::\w+)?`/g);
  assert.ok(types.length > 30, `only ${types}`);
  assert.deepEqual(
    types.filter((name) => !words.has(name)),
    [],
  );
});

test('every script of npm that the documents name is one', () => {
  const scripts = ['package.json', 'example/package.json'].flatMap((name) =>
    Object.keys(JSON.parse(read(name)).scripts),
  );
  const named = all(
    documents()
      .map((name) => read(name))
      .join('\n'),
    /npm run ([\w:-]+)/g,
  );
  assert.deepEqual(
    named.filter((name) => !scripts.includes(name)),
    [],
  );
});

test('every link between documents leads to a file, and to a heading of it', () => {
  let seen = 0;
  for (const name of documents()) {
    for (const [, target] of prose(name).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file, anchor] = target.split('#');
      const linked = file === '' ? name : path.posix.join(path.posix.dirname(name), file);
      assert.ok(fs.existsSync(path.join(ROOT, linked)), `${name}: ${target}`);
      if (anchor !== undefined) assert.ok(anchors(linked).includes(anchor), `${name}: no heading for ${target}`);
      seen += 1;
    }
  }
  assert.ok(seen > 100, `only ${seen} links were looked at`);
});

test('the README is short, leads to every page of docs, and the package carries them', () => {
  const readme = read('README.md');
  assert.ok(readme.trimEnd().split('\n').length <= 200, 'more than 200 lines');
  for (const page of documents().slice(1)) assert.ok(readme.includes(`](${page}`), page);
  assert.ok(JSON.parse(read('package.json')).files.includes('docs'));
});

test('the package, the crate and the changelog have one version', () => {
  const { version } = JSON.parse(read('package.json'));
  assert.match(read('Cargo.toml'), new RegExp(`^version = "${version}"$`, 'm'));
  assert.match(read('CHANGELOG.md'), new RegExp(`^## ${version}\\b`, 'm'));
});
