'use strict';

/**
 * What must be said at start: what is open to everybody, or does not reach everybody. Loud in production, one plain line
 * each otherwise.
 */
function warnings({ session, limits, redis, logLevel }, env = process.env) {
  if (!['warn', 'info', 'debug'].includes(logLevel)) return [];
  const loud = env.NODE_ENV === 'production' ? 'warning' : 'warn';
  const lines = [];
  if (!session)
    lines.push([loud, 'no option session: everybody who reaches this server may read and write every document']);
  if (redis) {
    lines.push([loud, "over Redis rates and some limits are each process's own: see docs/several-processes.md"]);
  }
  if (!limits.native) lines.push([loud, 'limits are off: one client can use all of this process']);
  return lines;
}

module.exports = { warnings };
