// A run of the Y.js convergence test: documents that are edited at random, over connections that break, in a room that
// people enter and leave, with a hub that restarts. Every decision follows from the seed.
import * as Y from 'yjs';
import { ChaosProxy, CUTS } from './chaos-proxy.mjs';
import { between, pick, stream } from './fault/seeded.mjs';
import { until } from './processes.mjs';
import { Editor, contentOf, converged } from './yjs-stage.mjs';

const WORDS = ['a', 'é', '漢', 'word ', 'two words ', '\n', 'x'.repeat(40)];

/** One random edit of a text, a map, an array or a tree. */
export function edit(doc, random) {
  const [text, map] = [doc.getText('text'), doc.getMap('map')];
  const [array, xml] = [doc.getArray('array'), doc.getXmlFragment('xml')];
  const at = (length) => between(random, 0, length + 1);
  const some = (type) => {
    const from = between(random, 0, type.length);
    return [from, between(random, 1, Math.min(4, type.length - from) + 1)];
  };
  const edits = [
    () => text.insert(at(text.length), pick(random, WORDS)),
    () => text.insert(at(text.length), pick(random, WORDS), pick(random, [{ bold: true }, { bold: null }, {}])),
    () => text.length > 0 && text.delete(...some(text)),
    () => text.length > 0 && text.format(...some(text), { italic: pick(random, [true, null]) }),
    () => text.insertEmbed(at(text.length), { image: between(random, 0, 100) }),
    () => map.set(`key ${between(random, 0, 5)}`, pick(random, [1, 'text', null, { deep: [1, 2] }])),
    () => map.set(`key ${between(random, 0, 5)}`, new Y.Map([['inner', between(random, 0, 100)]])),
    () => map.delete(`key ${between(random, 0, 5)}`),
    () => array.insert(at(array.length), [between(random, 0, 100), pick(random, WORDS)]),
    () => array.insert(at(array.length), [new Y.Array()]),
    () => array.length > 0 && array.delete(...some(array)),
    () => xml.insert(at(xml.length), [new Y.XmlElement('p'), new Y.XmlText(pick(random, WORDS))]),
    () => xml.length > 0 && xml.delete(...some(xml)),
    // Long enough to be cut on the way.
    () => random() < 0.05 && text.insert(at(text.length), 'long '.repeat(between(random, 1000, 20_000))),
  ];
  doc.transact(() => {
    for (let count = between(random, 1, 4); count > 0; count -= 1) pick(random, edits)();
  });
}

/**
 * @param {object} options
 * @param {() => Promise<{ port: number, restart: () => Promise<number> }>} options.hub `restart` answers the new port
 * @returns what happened, once every document has become one
 */
export async function convergenceRun({ hub, seed, editors: count = 5, steps = 60, later }) {
  const random = stream(seed, 'world');
  const proxy = await ChaosProxy.start(() => hub.port);
  later(() => proxy.close());
  const done = { edits: 0, cuts: 0, restarts: 0, joins: 0, leaves: 0, offline: 0 };
  const plans = stream(seed, 'plans');
  proxy.plan = () => {
    if (plans() < 0.6) return {};
    return { how: pick(plans, CUTS), afterDown: between(plans, 200, 20_000), delayMs: between(plans, 0, 20) };
  };
  let editors = [];
  const join = (doc) => {
    done.joins += 1;
    editors.push(
      // A connection that has gone silent is given up soon, and messages are small, so that a run is short.
      Editor.open(proxy, 'document', { doc, silenceMs: 300, answerTimeoutMs: 300, maxMessageBytes: 16 * 1024 }),
    );
  };
  const leave = (editor) => {
    done.leaves += 1;
    editor.close();
    editors = editors.filter((other) => other !== editor);
  };
  const deeds = [
    [70, () => ((done.edits += 1), edit(pick(random, editors).doc, random))],
    [8, () => ((done.cuts += 1), proxy.linkOf(pick(random, editors).clientID)?.cut(pick(random, CUTS)))],
    [4, () => editors.length < 2 * count && join(new Y.Doc())],
    // Whose edits were acknowledged may go; what nobody has heard of goes with its page, as it must.
    [4, () => editors.length > 2 && goIfHeard(pick(random, editors))],
    [4, () => comeAndGo(pick(random, editors))],
    [1, async () => ((done.restarts += 1), await hub.restart())],
    [9, () => new Promise((resolve) => setTimeout(resolve, between(random, 1, 60)))],
  ];
  const goIfHeard = async (editor) => {
    editor.provider.connect();
    await until('a leaver to be heard', () => editor.provider.synced && editor.provider.unacknowledged === 0);
    leave(editor);
  };
  const comeAndGo = (editor) => {
    done.offline += 1;
    const isAway = editor.provider.status === 'disconnected';
    if (isAway) editor.provider.connect();
    else editor.provider.disconnect();
  };
  const total = deeds.reduce((sum, [weight]) => sum + weight, 0);
  while (editors.length < count) join(new Y.Doc());
  for (let step = 0; step < steps; step += 1) {
    let at = random() * total;
    const [, deed] = deeds.find(([weight]) => (at -= weight) < 0);
    await deed();
  }
  proxy.plan = () => ({});
  for (const { provider } of editors) provider.connect();
  await converged(
    editors.map(({ doc }) => doc),
    { timeoutMs: 60_000 },
  );
  await until('everybody to be synced', () => editors.every(({ provider }) => provider.synced), { timeoutMs: 60_000 });
  await converged(editors.map(({ doc }) => doc));
  const content = contentOf(editors[0].doc);
  const faults = editors.flatMap((editor) => editor.faults);
  for (const editor of editors) editor.close();
  return { ...done, faults, editors, bytes: content.length };
}
