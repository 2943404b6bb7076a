// Starts listening on a free port of the loopback interface and says where, for the runner.

/** Node's default of 511 drops packets in a connect storm, which measures the kernel's retry timer and not the server. */
const BACKLOG = 4096;

export function listen(server) {
  server.listen({ port: 0, host: '127.0.0.1', backlog: BACKLOG }, () => {
    console.log(`listening on 127.0.0.1:${server.address().port}`);
  });
}
