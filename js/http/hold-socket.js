'use strict';

/**
 * Keeps an upgraded socket while something is decided about it.
 *
 * Nothing has to be done to bound what is read meanwhile: nobody takes data out of the stream, so Node stops reading
 * when its buffer is full, and what is in there is handed over with the socket. A FIN that comes before any data, a
 * reset and an error say that the client has left.
 *
 * Other listeners of the server have the socket too, and some end what nobody has answered yet: they cannot meanwhile.
 *
 * @param {() => void} onLeave
 * @returns a function that ends the watch
 */
function holdSocket(socket, onLeave) {
  const onEnd = () => socket.destroy();
  const onError = () => socket.destroy();
  const { end, write } = socket;
  socket.end = () => socket;
  socket.write = () => false;
  socket.on('error', onError);
  socket.on('end', onEnd);
  socket.on('close', onLeave);
  // A stream that nobody reads ends only when somebody has asked it for more.
  socket.read(0);
  return () => {
    Object.assign(socket, { end, write });
    socket.off('error', onError);
    socket.off('end', onEnd);
    socket.off('close', onLeave);
  };
}

module.exports = { holdSocket };
