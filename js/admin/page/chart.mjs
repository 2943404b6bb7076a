// A plot of the last minutes, with the same in words beside it.
import { h, mark, refill, show, write } from './dom.mjs';
import { age, timeOfDay } from './format.mjs';
import { extent } from './series.mjs';

const [WIDTH, HEIGHT] = [600, 100];
/** The line of the greatest value stands so far below the upper edge. */
const HEADROOM = 1.12;

/** What a scale ends with: the next of 1, 2, 2.5, 5 times a power of ten, or for bytes the next power of two. */
export function roundUp(value, least, isBinary = false) {
  if (!(value > least)) return least;
  if (isBinary) return 2 ** Math.ceil(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].find((step) => step * power >= value * 0.999_999) * power;
}

/** The commands of a path through points, broken where there is no value. */
export function pathOf(points, from, windowMs, top) {
  let [path, isDown] = ['', false];
  for (const { at, value } of points) {
    if (value === null) {
      isDown = false;
      continue;
    }
    const x = ((at - from) / windowMs) * WIDTH;
    const y = HEIGHT - (value / top) * HEIGHT;
    path += `${isDown ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    isDown = true;
  }
  return path;
}

export class Chart {
  #format;
  #least;
  #lines;
  #points = [];
  #from = 0;
  #windowMs = 1;
  #isBinary;
  #top = 1;
  #at = null;

  /**
   * @param {string} title
   * @param {{ lines: string[], format: (value: number) => string, least?: number, isBinary?: boolean }} about a name for each
   *   line; `least` is the smallest end of the scale
   */
  constructor(title, { lines, format, least = 1, isBinary }) {
    this.#format = format;
    this.#least = least;
    this.#isBinary = isBinary;
    this.#lines = lines.map((name, index) => ({
      name,
      path: h('path', { class: `line line-${index}`, 'vector-effect': 'non-scaling-stroke' }),
      area: h('path', { class: `area area-${index}` }),
      value: h('span', { class: 'value' }),
    }));
    this.cursor = h('div', { class: 'cursor', hidden: true });
    this.scale = h('span', { class: 'scale' });
    this.words = h('p', { class: 'words' });
    this.plot = h(
      'div',
      {
        class: 'plot',
        'aria-hidden': 'true',
        onpointermove: (event) => this.#point(event),
        onpointerleave: () => this.#point(undefined),
      },
      h(
        'svg',
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', focusable: 'false' },
        ...[0.5, 1].map((share) =>
          h('line', {
            class: 'grid',
            x1: 0,
            x2: WIDTH,
            y1: HEIGHT * (1 - share) + 0.5,
            y2: HEIGHT * (1 - share) + 0.5,
          }),
        ),
        ...this.#lines.flatMap(({ area, path }) => [area, path]),
      ),
      this.cursor,
      this.scale,
    );
    const values = this.#lines.map(({ name, value }, index) =>
      h('span', { class: `reading reading-${index}` }, value, lines.length > 1 && h('span', { class: 'key' }, name)),
    );
    this.element = h(
      'section',
      { class: 'chart card' },
      h('h3', {}, title),
      h('p', { class: 'readings' }, ...values),
      this.plot,
      this.words,
    );
  }

  /** @param {{ at: number, value: number | null }[][]} points of each line */
  update(points, now, windowMs) {
    this.#points = points;
    this.#from = now - windowMs;
    this.#windowMs = windowMs;
    const extents = points.map(extent);
    const greatest = Math.max(0, ...extents.map((each) => each?.greatest ?? 0));
    this.#top = roundUp(greatest * HEADROOM, this.#least, this.#isBinary);
    this.#lines.forEach(({ path, area }, index) => {
      const line = pathOf(points[index], this.#from, windowMs, this.#top);
      mark(path, 'd', line || 'M0 0');
      const isWhole = line !== '' && line.indexOf('M', 1) < 0;
      const [first, last] = [/M([\d.-]+)/.exec(line)?.[1], /([\d.-]+) [\d.-]+$/.exec(line)?.[1]];
      mark(area, 'd', isWhole ? `${line}L${last} ${HEIGHT}L${first} ${HEIGHT}Z` : 'M0 0');
    });
    write(this.scale, this.#format(this.#top));
    write(this.words, this.#inWords(extents));
    this.#read();
  }

  #inWords(extents) {
    const held = Math.max(
      0,
      ...this.#points.map((points) => (points.length > 1 ? points.at(-1).at - points[0].at : 0)),
    );
    if (held === 0) return 'Gathering';
    const since = `in the last ${age(Math.round(held / 1000) * 1000)}`;
    const main = extents.at(-1);
    if (!main) return `Nothing ${since}`;
    const of = this.#lines.length > 1 ? `${this.#lines.at(-1).name} ` : '';
    const [least, greatest] = [main.least, main.greatest].map(this.#format);
    return `${of}${least === greatest ? least : `${least} to ${greatest}`} ${since}`;
  }

  #point(event) {
    if (event) {
      const { left, width } = this.plot.getBoundingClientRect();
      this.#at = this.#from + ((event.clientX - left) / width) * this.#windowMs;
    } else this.#at = null;
    this.#read();
  }

  /** The newest values, or those below the pointer. */
  #read() {
    const nearest = (points) => {
      if (this.#at === null) return points.findLast(({ value }) => value !== null);
      return points.reduce(
        (best, each) => (best && Math.abs(best.at - this.#at) <= Math.abs(each.at - this.#at) ? best : each),
        undefined,
      );
    };
    const found = this.#points.map(nearest);
    this.#lines.forEach(({ value }, index) => write(value, this.#format(found[index]?.value ?? undefined)));
    const at = this.#at === null ? undefined : found.find(Boolean)?.at;
    show(this.cursor, at !== undefined);
    if (at === undefined) return;
    const share = (at - this.#from) / this.#windowMs;
    this.cursor.style.left = `${share * 100}%`;
    this.cursor.classList.toggle('is-left', share > 0.5);
    refill(this.cursor, at, () => h('span', {}, timeOfDay(at)));
  }
}
