export const DEFAULT_DOCUMENT_ID = 'welcome';

/** The document a page shows: `?document=`, or the default where it is missing or no id the hub takes. */
export function documentIdFrom(parameter: string | string[] | undefined): string {
  const id = Array.isArray(parameter) ? parameter[0] : parameter;
  return id !== undefined && isDocumentId(id) ? id : DEFAULT_DOCUMENT_ID;
}

/** The hub refuses ids that are empty, longer than 512 bytes or that hold control characters. */
function isDocumentId(id: string): boolean {
  return id !== '' && !/\p{Cc}/u.test(id) && new TextEncoder().encode(id).length <= 512;
}
