import type { NextRequest } from 'next/server';
import { failure } from '@/lib/api';

const LONGEST_MS = 2_000;

/**
 * Keeps Node's event loop busy for `?ms=` milliseconds, to show that the hub does not care. Does not exist unless
 * `HUB_EXAMPLE_BLOCK=1` is set, since whoever may call it can hold up the whole app.
 */
export function GET(request: NextRequest): Response {
  if (process.env.HUB_EXAMPLE_BLOCK !== '1') return failure(404, 'NOT_FOUND', 'Set HUB_EXAMPLE_BLOCK=1 to have this');
  const ms = Number(request.nextUrl.searchParams.get('ms') ?? 500);
  if (!(ms >= 0)) return failure(400, 'INVALID_MS', 'ms must be a number of milliseconds');

  const blockedMs = Math.min(ms, LONGEST_MS);
  const end = performance.now() + blockedMs;
  while (performance.now() < end);
  return Response.json({ blockedMs });
}
