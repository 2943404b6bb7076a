// One JSON file a document, in place of a table in a database.
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';

// Any text may be the id of a document, and not any text a file's name.
const fileOf = (folder, documentId) =>
  path.join(folder, `${createHash('sha256').update(documentId).digest('hex').slice(0, 32)}.json`);

/**
 * What was written last, or null where nothing was.
 *
 * @param {string} folder
 * @param {string} documentId
 */
export async function read(folder, documentId) {
  let text;
  try {
    text = await fs.readFile(fileOf(folder, documentId), 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
  return JSON.parse(text).content;
}

/**
 * Writes all or nothing: into a file beside it, which takes the other's place once it is on the disk.
 *
 * @param {string} folder
 * @param {string} documentId
 * @param {object} content
 */
export async function write(folder, documentId, content) {
  await fs.mkdir(folder, { recursive: true });
  const file = fileOf(folder, documentId);
  const next = `${file}.${randomUUID()}`;
  try {
    await fs.writeFile(next, JSON.stringify({ documentId, content }), { flush: true });
    await fs.rename(next, file);
  } catch (error) {
    await fs.rm(next, { force: true });
    throw error;
  }
}
