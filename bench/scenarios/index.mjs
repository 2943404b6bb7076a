// All scenarios, in the order of the target table.
import addon from './addon.mjs';
import agents from './agents.mjs';
import blocked from './blocked.mjs';
import broadcast from './broadcast.mjs';
import documents from './documents.mjs';
import easy from './easy.mjs';
import echo from './echo.mjs';
import fanout from './fanout.mjs';
import limits from './limits.mjs';
import memory from './memory.mjs';
import pages from './pages.mjs';
import reopen from './reopen.mjs';
import several from './several.mjs';
import steps from './steps.mjs';
import store from './store.mjs';
import storm from './storm.mjs';
import typists from './typists.mjs';
import watchers from './watchers.mjs';
import writers from './writers.mjs';

export const scenarios = [
  fanout,
  writers,
  documents,
  blocked,
  pages,
  memory,
  storm,
  broadcast,
  echo,
  agents,
  watchers,
  steps,
  typists,
  store,
  several,
  easy,
  reopen,
  limits,
  addon,
];
