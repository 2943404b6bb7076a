/**
 * Ends a connection by RST, or as it is about to end where its own end is under way: what is reset then, Node 20 closes never,
 * and the process does not end, at full speed.
 */
export function reset(socket) {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}
