// Sockets on a line that takes its time.
import WebSocket from 'ws';

/** A `WebSocket` for a FabricClient that takes so long each way, and keeps the order. */
export function lineOf(oneWayMs) {
  return class {
    #socket;

    constructor(url) {
      this.#socket = new WebSocket(url);
      this.#socket.onmessage = ({ data }) => setTimeout(() => this.onmessage?.({ data }), oneWayMs);
      this.#socket.onclose = (event) => this.onclose?.(event);
      this.#socket.onerror = (event) => this.onerror?.(event);
    }

    send(text) {
      setTimeout(() => this.#socket.readyState === WebSocket.OPEN && this.#socket.send(text), oneWayMs);
    }

    close(code) {
      this.#socket.close(code);
    }
  };
}
