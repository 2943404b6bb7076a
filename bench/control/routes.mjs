// The HTTP routes that every server of the benchmark has, beside its WebSocket side.

/**
 * @param broadcast `(documentId, steps, changeId)`; what it returns is awaited after the time it held the loop was taken
 * @returns a listener for `http.createServer`
 */
export function createRoutes(broadcast) {
  const prepared = new Map();
  return async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    const answer = (body) => response.end(JSON.stringify(body));
    if (pathname === '/block') {
      block(Number(searchParams.get('ms')));
      return answer({});
    }
    if (pathname === '/gc') {
      globalThis.gc();
      return answer({});
    }
    if (pathname === '/broadcast') {
      const bytes = Number(searchParams.get('bytes'));
      if (!prepared.has(bytes)) prepared.set(bytes, stepsOf(bytes));
      const begun = performance.now();
      const sent = broadcast(searchParams.get('documentId'), prepared.get(bytes), searchParams.get('changeId'));
      const held = performance.now() - begun;
      await sent;
      return answer({ held_us: held * 1000 });
    }
    response.statusCode = 404;
    return answer({});
  };
}

/** Holds Node's loop, as a heavy render does. */
function block(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** ProseMirror-like steps of about `bytes` as JSON. */
function stepsOf(bytes) {
  const step = (text) => ({ stepType: 'replace', from: 12, to: 12, slice: { content: [{ type: 'text', text }] } });
  const length = JSON.stringify(step('')).length + 1;
  const count = Math.max(1, Math.round(bytes / 256));
  return Array.from({ length: count }, () => step('s'.repeat(Math.max(0, Math.round(bytes / count) - length))));
}
