// The hub under test, on a plain http server.
import http from 'node:http';
import { broadcastSteps, metricsText } from '../../js/index.js';
import { createHub } from '../../js/server.js';
import { listen } from '../control/listen.mjs';
import { createRoutes } from '../control/routes.mjs';

const server = http.createServer(createRoutes(broadcastSteps));
// Every limit is on, so that its price is in the figures, and out of reach, so that none of them acts.
const all = 1_000_000_000;
const limits = {
  messagesPerSecond: all,
  messageBurst: all,
  bytesPerSecond: all,
  byteBurst: all,
  connections: all,
  connectionsPerDocument: all,
};
// HUB_LIMITS=off turns them off; SCRAPE=yes asks for all metrics once a second, as Prometheus would at its most eager.
if (process.env.SCRAPE === 'yes') setInterval(metricsText, 1000);
createHub({ limits }).attach(server);
listen(server);
