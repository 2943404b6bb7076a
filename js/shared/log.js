'use strict';

// What the hub says, on stderr, where PM2 and journald expect it. Bundle-safe, as index.js is.

const { runningHub } = require('./global-hub.js');

/** What JSON leaves as it is and a terminal or a reader of logs obeys: controls, line separators, changes of direction. */
const OBEYED = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** JSON in one line, in which everything is escaped that could begin another or change how it looks. */
function toLine(value) {
  const line = JSON.stringify(value);
  return line.replace(OBEYED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Of this copy of the package, until a hub runs. */
let formatHere = 'text';

/** @param {'text' | 'json'} format */
function setLogFormat(format) {
  formatHere = format;
}

/**
 * Says something, in one line where lines are for machines.
 *
 * @param {'error' | 'warn' | 'warning'} level `warning` is a `warn` that has to be seen
 * @param {string} message
 * @param {{ document?: string, user?: string, connection?: number, address?: string }} [about]
 */
function log(level, message, about) {
  const isWarning = level === 'warning';
  const isJson = (runningHub()?.logFormat ?? formatHere) === 'json';
  const fixed = isJson && { hub: 'log', time: new Date().toISOString(), level: isWarning ? 'warn' : level };
  const line = isJson ? toLine({ ...fixed, ...about, message }) : `[hub] ${isWarning ? 'WARNING' : level}: ${message}`;
  write(line, level === 'error');
}

/**
 * Writes a line as the native side writes its own, where a hub runs: in one order with those, on no thread that anybody waits
 * for, and only so many a second that are not `urgent`, because strangers can cause them.
 *
 * @param {string} line
 * @param {boolean} urgent
 */
function write(line, urgent) {
  const hub = runningHub();
  if (hub?.writeLog) hub.writeLog(line, urgent);
  else console.error(line);
}

module.exports = { log, setLogFormat, toLine, write };
