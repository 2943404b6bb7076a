// What the tests of sessions, access and limits share: requests with headers of their own, and functions that wait.
import { fabricTarget, RawClient, upgradeRequest } from './raw-client.mjs';

/** A raw client that has sent its upgrade and read nothing. */
export async function ask(server, target, headers = {}) {
  const client = await server.raw();
  client.write(upgradeRequest(target, { headers }));
  return client;
}

/** The status an upgrade to a document gets. */
export async function statusOf(server, headers, documentId = 'document') {
  const client = await ask(server, fabricTarget(documentId), headers);
  const { status } = await client.response();
  client.drop();
  return status;
}

/** How an upgrade ends: the close of a completed handshake, or `connected`. */
export async function outcome(server, headers, target = fabricTarget('document')) {
  const client = await ask(server, target, headers);
  const { status } = await client.response();
  if (status !== 101) return { status };
  const { opcode, payload } = await client.frame();
  const first =
    opcode === 8 ? { code: payload.readUInt16BE(0), reason: payload.toString('utf8', 2) } : JSON.parse(payload);
  return { ...first, client };
}

/** A function whose calls wait until the test settles them: `calls[0].resolve('write')`. */
export function waiting() {
  const calls = [];
  const hook = (argument) =>
    new Promise((resolve, reject) => {
      calls.push({ argument, resolve, reject });
    });
  return { hook, calls };
}

/** A session by the header `x-user`, whose JSON is the user. */
export function headerSession(request) {
  const { 'x-user': user } = request.headers;
  return Promise.resolve(user === undefined ? null : JSON.parse(user));
}

export const as = (user) => ({ 'x-user': JSON.stringify(user) });

export { RawClient };
