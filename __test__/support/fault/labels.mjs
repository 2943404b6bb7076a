// The label by which each message of the fault test is known, and the documents that steps with a label make: a list of labels.

/** The step that puts a label at the end of a document which ends with `after`. */
export function stepFor(label, at, { after, pad = '' } = {}) {
  const slice = { content: [{ type: 'label', attrs: { label } }] };
  return { stepType: 'replace', from: at, to: at, slice, after, pad };
}

/** The labels that a document, or a slice of one, has; the state of one that keeps its updates is a list of them. */
export const labelsIn = (doc) => (Array.isArray(doc) ? doc : (doc?.content ?? []).map(({ attrs }) => attrs.label));

/** The label that a step puts in; a message of a route handler has it by itself. */
export const labelOfStep = (step) => step.label ?? labelsIn(step.slice)[0];

/** The label of a message: of all its steps, one behind the other. */
export function labelOf({ type, update, steps }) {
  return type === 'update' ? update.label : steps.map(labelOfStep).join(' ');
}

/** Who sent what a label stands for: `{ by, session }`. */
export function senderOf(label) {
  const [by, session] = label.split('/');
  return { by, session: Number(session) };
}

/** The label of the entry that says that a document goes on as another one. */
export const REPLACED = 'another document';

/** The kind of a document, which is in its name. */
export const kindOf = (documentId) => ['steps', 'updates'].find((kind) => documentId.startsWith(`${kind}-`)) ?? 'relay';
