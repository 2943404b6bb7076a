// Before `npm pack` and `npm publish`: a package without a binary would install and then fail in every app.
import { ensureAddonBuilt } from './addon.mjs';

try {
  ensureAddonBuilt();
} catch (error) {
  console.error(`captify-hub: nothing was packed. ${error.message}`);
  process.exit(1);
}
