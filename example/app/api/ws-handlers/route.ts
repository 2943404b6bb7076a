import { registerHandlers } from '@captify-io/hub';
import { handlers } from '@/handlers';

/** In development the hub asks for this before each upgrade, so that edited handlers take effect without a restart. */
export function GET(): Response {
  registerHandlers(handlers);
  return new Response(null, { status: 204 });
}
