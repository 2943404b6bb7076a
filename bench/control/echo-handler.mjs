// The handler of the echo scenario, which both sides run as it is.
export const echoHandler = {
  path: '/ws/echo',
  onConnect(ws) {
    ws.send('{"type":"connected"}');
  },
  onMessage(ws, message) {
    ws.send(message.toString());
  },
  onClose() {},
  onError(ws) {
    ws.terminate();
  },
};
