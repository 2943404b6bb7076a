import { getConnectedDocuments, getConnectionCount } from '@captify-io/hub';
import http from 'node:http';

/** What one process counts. */
interface Own {
  process: number;
  fabric: number;
  documents: Record<string, number>;
}

/** What all of them have. */
export interface Counts {
  fabric: number;
  documents: Record<string, number>;
  /** Each of them by its id, also where there is one. */
  processes: { process: number; fabric: number }[];
}

/** Longest wait for another process, in milliseconds. */
const TIMEOUT_MS = 1_000;

/** What this process counts. */
export function ownCounts(): Own {
  const documents = Object.fromEntries(getConnectedDocuments().map((id) => [id, getConnectionCount(id)]));
  return { process: process.pid, fabric: getConnectionCount('fabric'), documents };
}

/** What all processes count together. `npm run start:two` tells each where all of them listen. */
export async function allCounts(): Promise<Counts> {
  const sockets = process.env.HUB_EXAMPLE_SOCKETS?.split(':') ?? [];
  const own = ownCounts();
  const asked = await Promise.all(sockets.map(countsOf));
  const others = asked.filter((each) => each !== null && each.process !== own.process) as Own[];
  const all = [own, ...others].sort((a, b) => a.process - b.process);
  const documents: Record<string, number> = {};
  for (const each of all) {
    for (const [id, count] of Object.entries(each.documents)) documents[id] = (documents[id] ?? 0) + count;
  }
  return {
    fabric: all.reduce((sum, { fabric }) => sum + fabric, 0),
    documents,
    processes: all.map(({ process, fabric }) => ({ process, fabric })),
  };
}

/** Asks the process that listens on a socket; null where none does. */
function countsOf(socketPath: string): Promise<Own | null> {
  return new Promise((resolve) => {
    const options = { socketPath, path: '/api/fabric/connections?own', timeout: TIMEOUT_MS };
    const request = http.get(options, async (response) => {
      try {
        let text = '';
        for await (const part of response.setEncoding('utf8')) text += part;
        resolve(JSON.parse(text));
      } catch {
        resolve(null);
      }
    });
    request.on('timeout', () => request.destroy()).on('error', () => resolve(null));
  });
}
