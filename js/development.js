'use strict';

const { existsSync } = require('node:fs');
const { join } = require('node:path');

const { fabricHandler } = require('./definitions.js');

/** The route that registers the app's handlers, where it has one. */
const ROUTE = '/api/ws-handlers';
const FILES = ['src/app', 'app'].flatMap((app) =>
  ['ts', 'js', 'tsx', 'jsx', 'mjs'].map((type) => [app, ROUTE, `route.${type}`]),
);

/** An upgrade goes on after this time with the handlers that are there: the first request compiles the route. */
const PATIENCE_MS = 5000;

/**
 * In development, has edited handlers take effect. Next never runs `register()` again, and Turbopack does not even
 * compile what it imports again; but a route is always answered by its current code. So a route that registers the
 * handlers is asked for before an upgrade.
 */
class EditedHandlers {
  #dir;
  #url;
  #asking;

  /** @param {string} dir the app's directory */
  constructor(dir, url) {
    this.#dir = dir;
    this.#url = new URL(ROUTE, url);
  }

  /**
   * What an upgrade waits for: that the current handlers are registered. Nothing for the endpoint in Rust, and where the
   * app has no such route.
   */
  refresh(request) {
    if (request.url.split(/[?#]/, 1)[0] === fabricHandler.path) return undefined;
    if (!FILES.some((parts) => existsSync(join(this.#dir, ...parts)))) return undefined;
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref());
    return Promise.race([this.#asking, patience]);
  }

  async #ask() {
    try {
      const { status } = await fetch(this.#url, { redirect: 'manual' });
      if (status >= 300) this.#warn(`was answered with ${status}`);
    } catch (error) {
      this.#warn(`failed: ${error.cause?.message ?? error.message}`);
    }
  }

  #warn(what) {
    process.stderr.write(`[hub] warn: ${ROUTE}, which registers edited handlers, ${what}\n`);
  }
}

module.exports = { EditedHandlers };
