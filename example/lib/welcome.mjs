// What the first note says before anybody has written in it.

const text = (words, ...marks) => ({ type: 'text', text: words, ...(marks.length && { marks }) });
const paragraph = (...content) => ({ type: 'paragraph', content });
const heading = (level, words) => ({ type: 'heading', attrs: { level }, content: [text(words)] });
const item = (...content) => ({ type: 'list_item', content: [paragraph(...content)] });
const strong = { type: 'strong' };

const NOTE = {
  type: 'doc',
  content: [
    heading(1, 'A note that stays'),
    paragraph(
      text('Everybody who has this page open writes in one document. '),
      text('The hub puts all changes into one order', strong),
      text(
        ', and writes each to the disk before it shows it to anybody. Kill the server and start it again: the note is as it was.',
      ),
    ),
    heading(2, 'Try it'),
    {
      type: 'bullet_list',
      content: [
        item(text('Open a second window beside this one, and type in both at the same time.')),
        item(text('Ask the agent for a summary, and go on writing while it does.')),
        item(text('Turn the network off, write, and turn it on again.')),
      ],
    },
    paragraph(text('At the top it says Saved once this app has the note in its own files, and not a moment earlier.')),
  ],
};

/**
 * @param {string} documentId
 * @returns {{ doc: object, version: number } | null}
 */
export function welcome(documentId) {
  return documentId === 'note-welcome' ? { doc: NOTE, version: 0 } : null;
}
