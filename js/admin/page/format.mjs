// Words for numbers, times and what clients have written.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const whole = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

/** What a reader does not see, or what changes how the rest looks: controls, separators, changes of direction. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/gu;

/** A text that somebody else has chosen, with what cannot be seen in it written out. */
export function visible(text) {
  return String(text).replace(UNSEEN, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

export function count(value) {
  return value === undefined || value === null ? '–' : whole.format(Math.round(value));
}

/** Three digits that count: 0.42, 12.3, 1,240. */
export function short(value) {
  if (value === undefined || value === null || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 10_000_000) return `${(value / 1_000_000).toFixed(1)} M`;
  if (size >= 100_000) return `${(value / 1_000).toFixed(0)} k`;
  if (size >= 100 || Number.isInteger(value)) return whole.format(Math.round(value));
  return value.toFixed(size >= 10 ? 1 : 2);
}

export function bytes(value) {
  if (value === undefined || value === null || !Number.isFinite(value)) return '–';
  let unit = 0;
  let size = value;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(size) : size.toFixed(size >= 100 ? 0 : 1)} ${UNITS[unit]}`;
}

/** A measured time, from microseconds to seconds. */
export function milliseconds(value) {
  if (value === undefined || value === null || !Number.isFinite(value)) return '–';
  if (value >= 1000) return `${(value / 1000).toFixed(value >= 10_000 ? 0 : 1)} s`;
  if (value >= 100) return `${value.toFixed(0)} ms`;
  return `${value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2)} ms`;
}

/** How long something has lasted, in the two largest units. */
export function age(ms) {
  if (ms === undefined || ms === null || !Number.isFinite(ms)) return '–';
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function timeOfDay(at) {
  return clock.format(new Date(at));
}

/** The time, and the day where it is another one than today. */
export function moment(at) {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
