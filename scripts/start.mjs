// `npm start`: builds what is stale, then runs the example on http://localhost:3000, in this process, as PM2 would.
import { ensureExampleBuilt, exampleRoot } from '../__test__/support/example.mjs';
import { ensureAddonBuilt } from './addon.mjs';

try {
  ensureAddonBuilt();
  await ensureExampleBuilt();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
process.env.NODE_ENV = 'production';
process.chdir(exampleRoot);
await import('../example/server.mjs');
