// Ports, for what cannot be told to take a free one by itself.
import { once } from 'node:events';
import net from 'node:net';

/** `count` different ports of loopback that nobody listened on a moment ago. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => net.createServer());
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
  const ports = servers.map((server) => server.address().port);
  for (const server of servers) await once(server.close(), 'close');
  return ports;
}

/** Whether one can listen on the port, that is: nobody else does. */
export async function isFree(port) {
  const server = net.createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await once(server.close(), 'close');
  return true;
}
