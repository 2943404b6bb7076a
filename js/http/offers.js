'use strict';

// Upgrades that are only offered. RFC 9110, section 7.8: a server may ignore the header, and must in HTTP/1.0. Java's
// default client and `curl --http2` offer h2c with every request, whatever it is for.

/** Protocols that nobody asks for alone: the request is for whatever answers it over HTTP/1.1, without TLS. */
const ONLY_OFFERED = /^(?:h2c?|http|tls)(?:\/|$)/;

function protocols({ rawHeaders }) {
  const found = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index].toLowerCase() !== 'upgrade') continue;
    for (const each of rawHeaders[index + 1].split(',')) found.push(each.trim().toLowerCase());
  }
  return found.filter((each) => each !== '');
}

/**
 * Whether the request is for another protocol, and not a plain one with an offer: a WebSocket, which is opened with GET,
 * or what somebody else on this server may speak.
 *
 * @param {boolean} othersListen whether the server has another listener of upgrades
 */
function asksForUpgrade(request, othersListen) {
  if (request.httpVersion === '1.0') return false;
  const asked = protocols(request);
  if (asked.includes('websocket')) return request.method === 'GET';
  return othersListen && asked.some((each) => !ONLY_OFFERED.test(each));
}

/**
 * Has Node take as plain requests the upgrades that `isWanted` does not want; they reach `'request'` listeners with
 * their bodies. Node before 22.21 and 24.9 has no `shouldUpgradeCallback`; there the flag that its parser sets on the
 * request is what decides, and the class of the requests has it in hand.
 *
 * @param {(request) => boolean} isWanted
 * @returns a function that undoes it
 */
function ignoreOffers(server, isWanted) {
  return 'shouldUpgradeCallback' in server ? byCallback(server, isWanted) : byClass(server, isWanted);
}

function byCallback(server, isWanted) {
  const before = server.shouldUpgradeCallback;
  const callback = (request) => isWanted(request) && before.call(server, request);
  server.shouldUpgradeCallback = callback;
  return () => {
    if (server.shouldUpgradeCallback === callback) server.shouldUpgradeCallback = before;
  };
}

function byClass(server, isWanted) {
  const key = Object.getOwnPropertySymbols(server).find(({ description }) => description === 'IncomingMessage');
  const before = server[key];
  // Without it the offers come as upgrades, and are answered as such.
  if (typeof before !== 'function') return () => {};
  class Incoming extends before {
    get upgrade() {
      return this.parsedUpgrade && (this.method === 'CONNECT' || isWanted(this));
    }
    set upgrade(value) {
      this.parsedUpgrade = value;
    }
  }
  server[key] = Incoming;
  return () => {
    if (server[key] === Incoming) server[key] = before;
  };
}

/** Whether a WebSocket is among what the request asks for. */
const asksForWebSocket = (request) => protocols(request).includes('websocket');

module.exports = { asksForWebSocket, asksForUpgrade, ignoreOffers };
