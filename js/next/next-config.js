'use strict';

/**
 * What of the app's configuration decides under which path Next answers. Asked of Next's inner server, which is not
 * documented; where a version keeps it elsewhere, the defaults count.
 *
 * @param app the Next app, prepared
 * @returns {Promise<{ basePath: string, trailingSlash: boolean, pageExtensions: string[] }>}
 */
async function nextConfig(app) {
  const inner = await app.server?.getServer?.();
  const { basePath, trailingSlash, pageExtensions } = inner?.nextConfig ?? {};
  return {
    basePath: basePath || '',
    trailingSlash: Boolean(trailingSlash),
    pageExtensions: Array.isArray(pageExtensions) ? pageExtensions : ['tsx', 'ts', 'jsx', 'js'],
  };
}

module.exports = { nextConfig };
