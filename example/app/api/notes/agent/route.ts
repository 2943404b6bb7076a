import { failure, hubFailure } from '@/lib/api';
import { isNote } from '@/lib/kinds.mjs';
import { summarise, tidyUp } from '@/lib/note-agent';

type Task = 'summarise' | 'tidy';

const TASKS: readonly unknown[] = ['summarise', 'tidy'] satisfies Task[];

/** Notes in which the agent is at work. */
const busy = new Set<string>();

/**
 * Has the agent edit a note, and answers once it has. Whoever hangs up stops it. A real app checks here who asks, and whether
 * they may.
 */
export async function POST(request: Request): Promise<Response> {
  const body: unknown = await request.json().catch(() => undefined);
  if (!isOrder(body)) {
    return failure(400, 'INVALID_BODY', 'Expected JSON: { documentId: "note-…", task: "summarise" | "tidy" }');
  }
  const { documentId, task } = body;
  if (busy.has(documentId)) return failure(409, 'AGENT_BUSY', 'The agent is at work in this note already');
  busy.add(documentId);
  try {
    const report = task === 'tidy' ? await tidyUp(documentId) : await summarise(documentId, request.signal);
    return Response.json(report);
  } catch (error) {
    return hubFailure(error);
  } finally {
    busy.delete(documentId);
  }
}

function isOrder(body: unknown): body is { documentId: string; task: Task } {
  if (typeof body !== 'object' || body === null) return false;
  const { documentId, task } = body as { documentId?: unknown; task?: unknown };
  return typeof documentId === 'string' && isNote(documentId) && TASKS.includes(task);
}
