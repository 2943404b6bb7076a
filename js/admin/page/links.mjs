// Addresses of what the page shows, behind the `#`: the server has one page, whatever its path.

/** `#connections?user=ada`: a view and what it is asked with; what is empty is left out. */
export function link(view, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const written = new URLSearchParams(given).toString();
  return `#${view}${written && `?${written}`}`;
}

/** The view and the query of `location.hash`. */
export function place(hash, known) {
  const [, view, query] = /^#?([a-z]*)\??(.*)$/s.exec(hash);
  return { view: known.includes(view) ? view : known[0], query: new URLSearchParams(query) };
}
