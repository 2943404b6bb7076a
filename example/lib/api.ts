import type { HubErrorCode } from '@captify-io/hub';

/** Codes of the hub that say: not now. The caller may try again later. */
const UNAVAILABLE: readonly string[] = [
  'HUB_NOT_RUNNING',
  'HUB_CLOSED',
  'HUB_OVERLOADED',
  'HUB_UNAVAILABLE',
  'HUB_STALE',
] satisfies HubErrorCode[];

/** What every failed call of this app's API answers: what went wrong for people, and a stable code for programs. */
export function failure(status: number, code: string, error: string): Response {
  return Response.json({ error, code }, { status });
}

/** Passes an error of the hub on with its code. Anything else is a fault of this app, and Next's to report. */
export function hubFailure(error: unknown): Response {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!code.startsWith('HUB_')) throw error;
  const status = code === 'HUB_INVALID_ARGUMENT' ? 400 : UNAVAILABLE.includes(code) ? 503 : 500;
  return failure(status, code, (error as Error).message);
}
