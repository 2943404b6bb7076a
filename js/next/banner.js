'use strict';

const MIN_WIDTH = 60;
const LABEL_WIDTH = 19;

/** Columns a terminal gives to `text`, as far as hosts and paths go: one a character, two for wide East Asian ones. */
function columns(text) {
  let width = 0;
  for (const character of text) {
    width += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u.test(
      character,
    )
      ? 2
      : 1;
  }
  return width;
}

/** The box that is printed at start, as wide as its longest line. `address` is given where it is not every one. */
function banner({ url, address, paths, environment }) {
  const labelled = (label, value) => `  ${`${label}:`.padEnd(LABEL_WIDTH)}${value}`;
  const title = ['  Captify Server Started'];
  const body = [
    labelled('HTTP Server', url),
    labelled('WebSocket Server', `${url.replace(/^http/, 'ws')}/ws`),
    ...(address ? [labelled('Listens only on', address)] : []),
    '',
    '  WebSocket Endpoints:',
    ...paths.map((path) => `    - ${path}`),
    '',
    labelled('Environment', environment),
  ];
  const width = Math.max(MIN_WIDTH, ...[...title, ...body].map((line) => columns(line) + 2));
  const rule = '═'.repeat(width);
  const row = (line) => `║${line}${' '.repeat(width - columns(line))}║`;
  return [`╔${rule}╗`, ...title.map(row), `╠${rule}╣`, ...body.map(row), `╚${rule}╝`].join('\n');
}

module.exports = { banner };
