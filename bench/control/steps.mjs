// The authority in Node as a process: STEPS_LOG names the file it stores in, PORT where it listens (default: any).
import { createAuthority } from './authority.mjs';

const { server } = createAuthority({ log: process.env.STEPS_LOG });
server.listen({ port: Number(process.env.PORT ?? 0), host: '127.0.0.1' }, () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
