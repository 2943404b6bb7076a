// Connections that exist only in a test's memory, for what real ones make slow or uncertain to show.

let threads = 0;

/** A thread that no other test of this process uses. */
export function freshThread() {
  threads += 1;
  return `thread-${process.pid}-${threads}`;
}

/** What a handler sees of a connection. */
export class FakeSocket {
  readyState = 1;
  /** What the client got, parsed. */
  received = [];
  closed = undefined;
  #unread = 0;
  #isReading = true;
  #waiting = [];

  send(text) {
    if (this.readyState !== 1) return;
    this.received.push(JSON.parse(text));
    if (!this.#isReading) this.#unread += text.length;
  }

  close(code, reason) {
    this.readyState = 3;
    this.closed = { code, reason };
  }

  get bufferedAmount() {
    return this.#unread;
  }

  flushed(below = 0) {
    if (this.#unread <= below) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** From here on what is sent waits. */
  stopReading() {
    this.#isReading = false;
  }

  /** Takes all that waits; goes on reading where `once` is not set. */
  read({ once = false } = {}) {
    this.#isReading = !once;
    this.#unread = 0;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  of(type) {
    return this.received.filter((message) => message.type === type);
  }

  /** The text of all chunks, which must have come in their order. */
  text() {
    const chunks = this.of('chunk');
    for (const [index, { seq }] of chunks.entries()) {
      if (index > 0 && seq !== chunks[index - 1].seq + 1) throw new Error(`seq ${seq} after ${chunks[index - 1].seq}`);
    }
    return chunks.map(({ chunk }) => (typeof chunk === 'string' ? chunk : (chunk.delta ?? ''))).join('');
  }
}

/** Connects a fake client to a thread of `handler`. */
export async function connect(handler, threadId, { userId, url } = {}) {
  const socket = new FakeSocket();
  socket.userId = userId;
  await handler.onConnect(socket, { url: url ?? `${handler.path}?threadId=${encodeURIComponent(threadId)}` });
  socket.say = (message) => handler.onMessage(socket, typeof message === 'string' ? message : JSON.stringify(message));
  socket.leave = () => {
    socket.readyState = 3;
    handler.onClose(socket, 1006, Buffer.alloc(0));
  };
  return socket;
}

/** An answer that a test writes piece by piece. */
export class Script {
  #pieces = [];
  #wake;
  /** What onRequest was called with. */
  request = undefined;
  /** True once the reader has let go of it. */
  returned = false;
  read = 0;

  write(...pieces) {
    this.#push(...pieces.map((value) => ({ value })));
  }

  end() {
    this.#push({ done: true });
  }

  fail(error) {
    this.#push({ error });
  }

  #push(...pieces) {
    this.#pieces.push(...pieces);
    this.#wake?.();
  }

  /** An onRequest that answers with this. */
  get onRequest() {
    return (request) => {
      this.request = request;
      return this;
    };
  }

  [Symbol.asyncIterator]() {
    return {
      next: async () => {
        while (this.#pieces.length === 0) await new Promise((resolve) => (this.#wake = resolve));
        const { value, done, error } = this.#pieces.shift();
        if (error) throw error;
        this.read += 1;
        return { value, done: done ?? false };
      },
      return: async () => {
        this.returned = true;
        return { done: true, value: undefined };
      },
    };
  }
}

/** Lets everything run that waits for nothing but its turn; for tests whose timers are mocked. */
export async function settle() {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
