// The hub under test, on a plain http server.
import http from 'node:http';
import { broadcastSteps } from '../../js/index.js';
import { createHub } from '../../js/server.js';
import { listen } from '../control/listen.mjs';
import { createRoutes } from '../control/routes.mjs';

const server = http.createServer(createRoutes(broadcastSteps));
createHub().attach(server);
listen(server);
