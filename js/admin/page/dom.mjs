// Elements, made without a line of markup: what clients have chosen is text and stays text.

const SVG = 'http://www.w3.org/2000/svg';
const OF_SVG = new Set(['svg', 'path', 'line', 'circle', 'rect', 'g']);

/**
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] functions are listeners by their name after `on`; false and undefined are left out
 * @param {...(Node | string | null | undefined | false)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = OF_SVG.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Writes a text where it is another one: a screen reader and a selection are left alone otherwise. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, or takes it away where the value is none. */
export function mark(element, name, value) {
  if (value === undefined || value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Shows or hides. */
export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

/** Fills `parent` anew where what is to be shown has changed by its JSON. */
export function refill(parent, sign, make) {
  const written = JSON.stringify(sign);
  if (signs.get(parent) === written) return;
  signs.set(parent, written);
  const made = make();
  parent.replaceChildren(...(Array.isArray(made) ? made : [made]));
}

const signs = new WeakMap();
