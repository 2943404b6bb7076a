import { getConnectedDocuments, getConnectionCount } from '@captify-io/hub';
import type { NextRequest } from 'next/server';

/** Open connections: of the whole endpoint and of each document, or of the one in `?documentId=`. */
export function GET(request: NextRequest): Response {
  const documentId = request.nextUrl.searchParams.get('documentId');
  if (documentId !== null) return Response.json({ documentId, count: getConnectionCount(documentId) });

  const documents = Object.fromEntries(getConnectedDocuments().map((id) => [id, getConnectionCount(id)]));
  return Response.json({ fabric: getConnectionCount('fabric'), documents });
}
