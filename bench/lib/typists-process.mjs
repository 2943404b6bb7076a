// A process with some of those who type in a document. It is told by its parent who they are, and when they begin.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { EditorTypist, LightTypist } from './typist.mjs';

const told = () => new Promise((resolve) => process.once('message', resolve));

const { url, documentId, lines, light } = await told();
const Typist = light ? LightTypist : EditorTypist;
const typists = lines.map(({ index, oneWayMs }) => new Typist(url, documentId, index, oneWayMs));
await Promise.all(typists.map(({ live }) => live));
process.send('live');
const { ms } = await told();
const lag = monitorEventLoopDelay({ resolution: 5 });
lag.enable();
const typed = await Promise.all(typists.map((typist) => typist.type(ms)));
const result = {
  waits: typed.flatMap(({ waits }) => waits),
  refusals: typed.reduce((sum, { refusals }) => sum + refusals, 0),
  lagMs: lag.percentile(99) / 1e6,
};
process.send(result, () => process.exit());
