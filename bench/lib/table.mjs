// Tables for a terminal.

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head, rows, rightAligned = []) {
  const all = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const line = (row) =>
    row
      .map((cell, column) =>
        rightAligned.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]),
      )
      .join('  ')
      .trimEnd();
  return [line(all[0]), widths.map((width) => '-'.repeat(width)).join('  '), ...all.slice(1).map(line)].join('\n');
}

/** Three digits that count: 1.12, 0.538, 12.3, 480. */
export function number(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

const withUnit = (value, unit) => `${number(value)}${unit ? ` ${unit}` : ''}`;

export const targetText = ({ target, unit, below }) => `${below ? '<' : '≤'} ${withUnit(target, unit)}`;

export function holds({ target, reached, below }) {
  return below ? reached < target : reached <= target;
}

/** The table that the benchmark is for. */
export function targetTable(rows) {
  const cells = rows.map((row) =>
    row.failed
      ? [row.what, '', '', `FAILED: ${row.failed}`]
      : [
          row.what,
          targetText(row),
          withUnit(row.reached, row.unit),
          (holds(row) ? 'yes' : 'NO') + (row.note ? ` (${row.note})` : ''),
        ],
  );
  return table(['what', 'target', 'reached', 'holds'], cells, [1, 2]);
}

/** What every server was measured at, one line a figure. */
export function figureTable(figures) {
  const servers = [...new Set(figures.map(({ server }) => server))];
  const whats = [...new Set(figures.map(({ what, unit }) => `${what}, ${unit}`))];
  const cell = (line, server) => {
    const found = figures.find((figure) => `${figure.what}, ${figure.unit}` === line && figure.server === server);
    return found ? number(found.value) : '';
  };
  return table(
    ['medians', ...servers.map(serverName)],
    whats.map((line) => [line, ...servers.map((server) => cell(line, server))]),
    servers.map((_, column) => column + 1),
  );
}

const NAMES = {
  hub: 'hub',
  hubUnlimited: 'hub without limits',
  ws: 'ws',
  socketio: 'Socket.IO',
  bareEach: 'bare loop',
  bareBatch: 'bare loop, batching',
  bareUpgrade: 'bare upgrade',
  bareEchoOne: 'bare echo',
  bareEchoTwo: 'bare echo, two threads',
  hubScraped: 'hub, scraped',
  'hub-two': 'hub, two processes',
  'socketio-streams': 'Socket.IO, streams adapter',
  'socketio-pubsub': 'Socket.IO, pub/sub adapter',
  'hub-steps': 'hub, in memory',
  'hub-steps-stored': 'hub, stored',
  authority: 'Node, in memory',
  'authority-stored': 'Node, stored',
};
export const serverName = (server) => NAMES[server] ?? server;
