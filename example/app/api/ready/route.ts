import { health } from '@captify-io/hub';

export const dynamic = 'force-dynamic';

/** For load balancers: 503 while clients should go elsewhere, with the reasons in words. */
export function GET(): Response {
  const { ready, reasons } = health();
  return Response.json({ ready, reasons }, { status: ready ? 200 : 503 });
}
