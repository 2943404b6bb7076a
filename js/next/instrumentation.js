'use strict';

/**
 * Resolves once Next has run `register()` of the app's instrumentation file; at once where it has none.
 *
 * In development `app.prepare()` has waited for it. In production Next only begins it and has the first page request
 * wait. What that request waits for is a promise of Next's inner server, which is asked for here; where a version of
 * Next keeps it elsewhere, a request is made for a file that is not there.
 *
 * @param app the Next app, prepared
 * @param {boolean} dev
 * @param {string} url where it listens
 */
async function instrumentationRegistered(app, dev, url) {
  if (dev) return;
  const inner = await app.server?.getServer?.();
  if (typeof inner?.prepare === 'function') await inner.prepare();
  else await fetch(new URL('/_next/static/none', url), { method: 'HEAD' });
}

module.exports = { instrumentationRegistered };
