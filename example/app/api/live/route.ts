import { health } from '@captify-io/hub';

export const dynamic = 'force-dynamic';

/** For whoever starts the process anew: 503 where nothing else helps. */
export function GET(): Response {
  const { live } = health();
  return Response.json({ live, uptimeSeconds: Math.round(process.uptime()) }, { status: live ? 200 : 503 });
}
