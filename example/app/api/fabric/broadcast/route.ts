import { broadcastSteps, broadcastStepsToClient } from '@captify-io/hub';
import { failure, hubFailure } from '@/lib/api';

interface Broadcast {
  documentId: string;
  steps: unknown[];
  changeId: string;
  /** Only the windows of this client get the steps; everyone who has the document open does without it. */
  clientID?: string;
}

/** Sends steps to the windows of a document. A real app checks here who asks, and whether they may. */
export async function POST(request: Request): Promise<Response> {
  const body: unknown = await request.json().catch(() => undefined);
  if (!isBroadcast(body)) {
    return failure(400, 'INVALID_BODY', 'Expected JSON: { documentId, steps: [], changeId, clientID? }');
  }
  const { documentId, steps, changeId, clientID } = body;
  try {
    const delivered =
      clientID === undefined
        ? await broadcastSteps(documentId, steps, changeId)
        : await broadcastStepsToClient(documentId, clientID, steps, changeId);
    return Response.json({ delivered });
  } catch (error) {
    return hubFailure(error);
  }
}

function isBroadcast(body: unknown): body is Broadcast {
  if (typeof body !== 'object' || body === null) return false;
  const { documentId, steps, changeId, clientID } = body as Partial<Record<keyof Broadcast, unknown>>;
  const isId = (value: unknown) => typeof value === 'string' && value !== '';
  return isId(documentId) && Array.isArray(steps) && isId(changeId) && (clientID === undefined || isId(clientID));
}
