'use strict';

const { readdirSync } = require('node:fs');
const { join } = require('node:path');

const { registeredHandlers, fabricHandler } = require('../shared/handler-registry.js');
const { log } = require('../shared/log.js');
const { pathOf } = require('../hub/paths.js');

/** The route that registers the app's handlers, where it has one. */
const ROUTE = '/api/ws-handlers';
const SEGMENTS = ROUTE.slice(1).split('/');

/** An upgrade goes on after this time with the handlers that are there: the first request compiles the route. */
const PATIENCE_MS = 5000;

function entries(directory) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** Whether a file for `segments` lies below `directory` of the App Router, in route groups or not: `(x)` is in no path. */
function hasRoute(directory, [segment, ...rest], isRouteFile) {
  return entries(directory).some((entry) => {
    if (segment === undefined && isRouteFile(entry.name)) return true;
    const isGroup = /^\([^.)][^)]*\)$/.test(entry.name);
    if (isGroup) return hasRoute(join(directory, entry.name), [segment, ...rest].filter(Boolean), isRouteFile);
    return segment !== undefined && entry.name === segment && hasRoute(join(directory, segment), rest, isRouteFile);
  });
}

/** Whether the app in `dir` has the route: `route.ts` of the App Router, or a file of that name of the Pages Router. */
function findsRoute(dir, pageExtensions) {
  const named = (name) => new Set(pageExtensions.map((extension) => `${name}.${extension}`));
  const routes = named('route');
  const [parent, page] = SEGMENTS;
  const pages = named(page);
  const indexes = named('index');
  return ['src', '.'].some(
    (root) =>
      hasRoute(join(dir, root, 'app'), SEGMENTS, (name) => routes.has(name)) ||
      entries(join(dir, root, 'pages', parent)).some((entry) => pages.has(entry.name)) ||
      entries(join(dir, root, 'pages', parent, page)).some((entry) => indexes.has(entry.name)),
  );
}

/**
 * In development, has edited handlers take effect. Next never runs `register()` again, and Turbopack does not even
 * compile what it imports again; but a route is always answered by its current code. So a route that registers the
 * handlers is asked for before an upgrade.
 */
class EditedHandlers {
  #dir;
  #url;
  #pageExtensions;
  #asking;
  #said;

  /**
   * @param {string} dir the app's directory
   * @param {string} url where the server is reached
   * @param config the app's, as `nextConfig` gives it
   */
  constructor(dir, url, { basePath, trailingSlash, pageExtensions }) {
    this.#dir = dir;
    this.#pageExtensions = pageExtensions;
    this.#url = new URL(`${basePath}${ROUTE}${trailingSlash ? '/' : ''}`, url);
  }

  /**
   * What an upgrade waits for: that the current handlers are registered. Nothing for the endpoint in Rust, and where the
   * app has no such route.
   */
  refresh(request) {
    if (pathOf(request.url) === fabricHandler.path) return undefined;
    if (!findsRoute(this.#dir, this.#pageExtensions)) {
      const [first] = registeredHandlers();
      if (first)
        this.#say(`edited handlers take effect after a restart: the app has no route ${ROUTE}, see "Adding a handler"`);
      return undefined;
    }
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref());
    return Promise.race([this.#asking, patience]);
  }

  async #ask() {
    try {
      const { status, headers } = await fetch(this.#url, { redirect: 'manual' });
      if (status < 300 && headers.get('content-type')?.startsWith('text/html')) {
        this.#warn('was answered with a page, maybe by middleware: let it pass there');
      } else if (status < 300) this.#said = undefined;
      else if (status < 400) this.#warn(`was redirected to ${headers.get('location')} with ${status}`);
      else this.#warn(`was answered with ${status}`);
    } catch (error) {
      this.#warn(`failed: ${error.cause?.message ?? error.message}`);
    }
  }

  #warn(what) {
    this.#say(`${this.#url.pathname}, which registers edited handlers, ${what}`);
  }

  /** Once, until something else is to be said: a page that reconnects would write it every second. */
  #say(text) {
    if (this.#said === text) return;
    this.#said = text;
    log('warn', text);
  }
}

module.exports = { EditedHandlers };
