// Writes js/admin/assets.js from the parts of the admin page in js/admin/page: texts that the route serves, with a version
// of each. They are in a module, since files beside one get lost where bundlers and `output: 'standalone'` copy it.
// `--check` only says whether it is up to date; a test calls it so.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import prettier from 'prettier';

const HEAD = `'use strict';

// Made by \`npm run admin-page\` from what is in js/admin/page, which has the comments.
`;

/** In the order in which they need each other. */
const PARTS = [
  'format',
  'dom',
  'links',
  'series',
  'problems',
  'pull',
  'chart',
  'table',
  'dialog',
  'actions',
  'columns',
  'filters',
  'overview',
  'lists',
  'inside',
  'app',
];

const STYLES = ['base.css', 'overview.css', 'tables.css', 'narrow.css'];

const folder = new URL('../js/admin/page/', import.meta.url);
const target = fileURLToPath(new URL('../js/admin/assets.js', import.meta.url));
const read = (name) => fs.readFileSync(new URL(name, folder), 'utf8');
const hash = (text, encoding) => createHash('sha256').update(text).digest(encoding);

/** The code of a part without what only makes it a module of its own, and without its comments. */
function codeOf(part) {
  return read(`${part}.mjs`)
    .replace(/^import \{[^}]*\} from '[^']+';\n/gm, '')
    .replace(/^export (?=class|const|function|async)/gm, '')
    .replace(/^ *\/\*\*[^]*?\*\/\n|^ *\/\/.*\n/gm, '')
    .replace(/\n{2,}/g, '\n')
    .trim();
}

const styleOf = (name) =>
  read(name)
    .replace(/ *\/\*[^]*?\*\//g, '')
    .replace(/\n{2,}/g, '\n')
    .trim();

function file(type, text) {
  return { type, version: hash(text, 'hex').slice(0, 16), text };
}

const files = {
  'admin.js': file('text/javascript; charset=utf-8', PARTS.map(codeOf).join('\n')),
  'admin.css': file('text/css; charset=utf-8', STYLES.map(styleOf).join('\n')),
  'icon.svg': file('image/svg+xml', read('icon.svg').trim()),
};

/** Of everything together: a page that has another one is out of date. */
const version = hash(
  Object.values(files)
    .map((each) => each.version)
    .join(),
  'hex',
).slice(0, 16);
const shell = read('shell.html')
  .replaceAll('$VERSION', version)
  .replaceAll('$ICON', files['icon.svg'].version)
  .replaceAll('$STYLE', files['admin.css'].version)
  .replaceAll('$SCRIPT', files['admin.js'].version);

/** The one page with its style in it: who may not see the others may not load their files either. */
const html = read('refused.html').replace('$STYLE', () => styleOf('refused.css'));
const [, style] = /<style>([^]*)<\/style>/.exec(html);
const styles = `style-src 'sha256-${hash(style, 'base64')}'`;
const refused = {
  html,
  policy: `default-src 'none'; ${styles}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
};

const constants = { VERSION: version, FILES: files, SHELL: shell, REFUSED: refused };
const lines = Object.entries(constants).map(([name, value]) => `const ${name} = ${JSON.stringify(value, null, 2)};\n`);
const text = [HEAD, ...lines, `module.exports = { ${Object.keys(constants).join(', ')} };\n`].join('\n');
const written = await prettier.format(text, { ...(await prettier.resolveConfig(target)), filepath: target });
if (!process.argv.includes('--check')) fs.writeFileSync(target, written);
else if (fs.readFileSync(target, 'utf8') !== written) {
  throw new Error('js/admin/assets.js is not up to date: run npm run admin-page');
}
