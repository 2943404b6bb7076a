import { getConnectionCount } from '@captify-io/hub';

export const dynamic = 'force-dynamic';

/** For load balancers and uptime checks. */
export function GET(): Response {
  return Response.json({
    status: 'ok',
    uptimeSeconds: Math.round(process.uptime()),
    connections: getConnectionCount('fabric'),
  });
}
