// A handler on the hub.
import http from 'node:http';
import { registerHandler } from '../../js/index.js';
import { createHub } from '../../js/server.js';
import { echoHandler } from '../control/echo-handler.mjs';
import { listen } from '../control/listen.mjs';

registerHandler(echoHandler);
const server = http.createServer();
createHub({ limits: false }).attach(server);
listen(server);
