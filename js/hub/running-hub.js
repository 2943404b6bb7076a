'use strict';

// What every copy of the package finds in globalThis while a hub runs.

const { KEY } = require('../shared/global-hub.js');

/**
 * @typedef {object} RunningHub what copies of the package may use of the hub, whichever copy started it
 * @property {'text' | 'json'} [logFormat] how lines of the log look
 * @property {(line: string, urgent: boolean) => void} [writeLog] writes a line of the log
 * @property {(documentId: string, clientID: string | undefined, message: string) => number | Promise<number>} publish
 * @property {(documentId: string, batch: object, to: object) => Promise<number>} broadcastSteps
 * @property {(documentId: string, batch: object) => Promise<object>} submitSteps
 * @property {(documentId: string, update: unknown, about?: object) => Promise<void>} submitUpdate
 * @property {(documentId: string, edit: Function, about?: object) => Promise<object>} editDocument
 * @property {(documentId: string) => Promise<object>} getDocument
 * @property {(path: string, message: string) => number} broadcast
 * @property {(path: string, room: string, message: string | Uint8Array, except?: object) => number} publishToRoom
 * @property {(path: string, room: string) => Promise<void>} whenSent resolves once what was published so far has been sent
 * @property {import('./channels.js').Channels} [channels] what handlers of several processes speak over; where there are several
 * @property {(name: string) => number} connectionCount
 * @property {(path: string) => number} endpointCount
 * @property {() => string[]} documents
 * @property {() => { processes: number, connections: number, documents: Map<string, number> }} clusterCounts
 * @property {() => object[]} processes of all that are one hub, this one first
 * @property {(handler: import('../index.js').WebSocketHandler) => void} serve
 * @property {(about: object, access: 'read' | 'write' | false) => number} setAccess
 * @property {(userId: string, code?: number, reason?: string) => number} disconnectUser
 * @property {(documentId: string) => Promise<number>} recheckAccess
 * @property {(about: object) => Promise<number>} renewSession
 * @property {(connectionId: string, code?: number, reason?: string) => Promise<boolean>} disconnectConnection
 * @property {(documentId: string) => Promise<'saved' | 'nothing'>} saveDocument
 * @property {(about?: object) => Promise<object>} connections
 * @property {(about?: object) => Promise<object>} listDocuments
 * @property {(documentId: string) => Promise<object | null>} inspectDocument
 * @property {() => object[]} metrics
 * @property {(name: string) => object | undefined} metric one of the metrics, gathered once a turn
 * @property {() => string} metricsText
 * @property {(register: object) => void} registerMetrics
 * @property {(about?: object) => object[]} securityEvents
 * @property {() => object} health
 * @property {(code: string, about: object) => void} reportSecurityEvent
 */

/** @param {RunningHub} hub */
function register(hub) {
  Object.defineProperty(globalThis, KEY, { value: hub, configurable: true, enumerable: false, writable: false });
}

/** @param {RunningHub} hub */
function unregister(hub) {
  if (globalThis[KEY] === hub) delete globalThis[KEY];
}

module.exports = { register, unregister };
