// Route handlers as Next calls them, with web requests and answers, behind a listener of Node's http server.

/**
 * @param {{ GET: Function, POST: Function }} route
 * @returns {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse) => Promise<void>}
 */
export function routeListener(route) {
  return async (request, response) => {
    try {
      const handler = route[request.method];
      if (!handler) return void response.writeHead(405).end();
      await send(await handler(webRequest(request)), response);
    } catch (error) {
      response.writeHead(500).end(`${error.stack}`);
    }
  };
}

function webRequest(request) {
  const headers = new Headers();
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    headers.append(request.rawHeaders[at], request.rawHeaders[at + 1]);
  }
  const hasBody = !['GET', 'HEAD'].includes(request.method);
  return new Request(`http://${request.headers.host}${request.url}`, {
    method: request.method,
    headers,
    ...(hasBody && { body: request, duplex: 'half' }),
  });
}

async function send(answer, response) {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(Buffer.from(await answer.arrayBuffer()));
}
