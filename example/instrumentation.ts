/** Next runs this once when the server starts. Edited handlers come by app/api/ws-handlers/route.ts. */
export async function register() {
  if (process.env.NEXT_RUNTIME !== 'nodejs') return;
  const [{ registerHandlers }, { handlers }] = await Promise.all([import('@captify-io/hub'), import('./handlers')]);
  registerHandlers(handlers);
}
