/** A call takes so many arguments, and no engine takes fewer. */
const PART = 0x2000;

export function toBase64(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += PART) text += String.fromCharCode(...bytes.subarray(at, at + PART));
  return btoa(text);
}

/** @throws where it is none */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
