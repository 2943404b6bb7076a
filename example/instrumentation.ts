/** Next runs this once when the server starts, and again where a file it imports was edited. */
export async function register() {
  if (process.env.NEXT_RUNTIME !== 'nodejs') return;
  const [{ registerHandlers }, { handlers }] = await Promise.all([import('@captify-io/hub'), import('./handlers')]);
  registerHandlers(handlers);
}
