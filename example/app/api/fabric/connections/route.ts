import { getConnectionCount } from '@captify-io/hub';
import type { NextRequest } from 'next/server';
import { allCounts, ownCounts } from '@/lib/counts';

/**
 * Open connections: of the whole endpoint and of each document, in all processes. With `?own` in the one that answers, and with
 * `?documentId=` of that document there.
 */
export async function GET({ nextUrl: { searchParams } }: NextRequest): Promise<Response> {
  const documentId = searchParams.get('documentId');
  if (documentId !== null) return Response.json({ documentId, count: getConnectionCount(documentId) });
  return Response.json(searchParams.has('own') ? ownCounts() : await allCounts());
}
