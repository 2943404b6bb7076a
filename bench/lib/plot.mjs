// The picture that the README shows: the price of a delivery beside the other servers, and every target as a bar.
import { holds, number, serverName, targetText } from './table.mjs';

const WIDTH = 960;
const MARGIN = 28;
const ROW = 22;
const COLOR = {
  text: '#1f2937',
  muted: '#6b7280',
  line: '#d1d5db',
  hub: '#2563eb',
  other: '#9ca3af',
  bare: '#d6d9de',
  missed: '#d97706',
};

const escape = (text) => String(text).replace(/[&<>]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[char]);

function text(x, y, content, { size = 12, color = COLOR.text, anchor = 'start', weight = 400 } = {}) {
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${color}" text-anchor="${anchor}">${escape(content)}</text>`;
}

const bar = (x, y, width, color) =>
  `<rect x="${x}" y="${y}" width="${Math.max(1, width).toFixed(1)}" height="13" rx="2" fill="${color}"/>`;

export function plot({ machine, rows, figures, date }) {
  const parts = [];
  let y = MARGIN + 14;
  parts.push(text(MARGIN, y, 'What one delivered message costs the server', { size: 16, weight: 600 }));
  y += 18;
  parts.push(
    text(
      MARGIN,
      y,
      'µs of processor time a delivery; one document of 100 members, updates of 200 bytes; shorter is better',
      { color: COLOR.muted },
    ),
  );
  for (const inFlight of [1, 8]) y = deliveries(parts, figures, inFlight, y + 14);
  y += 34;
  parts.push(text(MARGIN, y, 'Targets', { size: 16, weight: 600 }));
  y += 18;
  parts.push(text(MARGIN, y, 'reached as a share of the target; left of the line it holds', { color: COLOR.muted }));
  y = targets(
    parts,
    rows.filter(({ failed }) => !failed),
    y + 14,
  );
  y += 26;
  parts.push(
    text(
      MARGIN,
      y,
      `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node ${machine.node}, ${date.slice(0, 10)}`,
      { size: 11, color: COLOR.muted },
    ),
  );
  const height = y + MARGIN - 8;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"` +
      ' font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" role="img"' +
      ' aria-label="Processor time a delivery of each server, and each target with what was reached">',
    // Its own ground, so that it reads in a dark README too.
    `<rect width="${WIDTH}" height="${height}" rx="10" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function deliveries(parts, figures, inFlight, top) {
  const shown = figures.filter(({ what }) => what === `CPU a delivery, ${inFlight} in flight`);
  const all = figures.filter(({ what }) => /^CPU a delivery, [18] in flight$/.test(what));
  const left = MARGIN + 150;
  const scale = (WIDTH - left - MARGIN - 60) / Math.max(...all.map(({ value }) => value));
  let y = top + 12;
  parts.push(text(MARGIN, y, inFlight === 1 ? 'one message at a time' : 'eight at a time', { weight: 600 }));
  for (const { server, value } of shown) {
    y += ROW - 2;
    const color = server === 'hub' ? COLOR.hub : server.startsWith('bare') ? COLOR.bare : COLOR.other;
    parts.push(text(left - 10, y, serverName(server), { anchor: 'end', weight: server === 'hub' ? 600 : 400 }));
    parts.push(bar(left, y - 11, value * scale, color));
    parts.push(text(left + Math.max(1, value * scale) + 6, y, number(value), { color: COLOR.muted }));
  }
  return y + 6;
}

function targets(parts, rows, top) {
  const left = 610;
  const right = WIDTH - MARGIN - 120;
  /** The line stands at two thirds, so that a miss by half is still to scale. */
  const line = left + ((right - left) * 2) / 3;
  let y = top;
  for (const row of rows) {
    y += ROW;
    const share = row.target > 0 ? row.reached / row.target : row.reached > 0 ? 1.5 : 0;
    parts.push(text(MARGIN, y, row.what, { size: 11.5 }));
    parts.push(bar(left, y - 11, Math.min(share, 1.5) * (line - left), holds(row) ? COLOR.hub : COLOR.missed));
    const reached = `${number(row.reached)}${row.unit && row.unit !== 'clients' ? ` ${row.unit}` : ''}`;
    parts.push(text(right + 6, y, reached, { size: 11.5, weight: 600, color: holds(row) ? COLOR.text : COLOR.missed }));
    parts.push(
      text(WIDTH - MARGIN, y, targetText({ ...row, unit: '' }), { size: 11.5, color: COLOR.muted, anchor: 'end' }),
    );
  }
  parts.push(
    `<line x1="${line}" y1="${top + 4}" x2="${line}" y2="${y + 6}" stroke="${COLOR.text}" stroke-dasharray="3 3"/>`,
  );
  return y;
}
