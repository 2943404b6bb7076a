// A publication as it stands in the log of a document in Redis, after `entry.rs`.
import { labelOfStep, labelsIn, REPLACED } from './labels.mjs';

/** The kinds of a publication, by their number. */
const [CLIENT, MESSAGE, STEPS, UPDATE, ANOTHER] = [0, 1, 2, 3, 4];

/**
 * `{ label, to }`; of steps also `version` before them and `labels`, of another document its `version`. `toAll` where its
 * author gets it, too: of steps, and of what a hub has put there again.
 */
export function decode(payload) {
  const text = (at) => {
    const end = at + 4 + payload.readUInt32BE(at);
    return { value: payload.toString('utf8', at + 4, end), end };
  };
  const number = (at) => Number(payload.readBigUInt64BE(at));
  const to = text(18);
  const entry = { to: to.value || undefined };
  switch (payload[1]) {
    case CLIENT: {
      const client = text(to.end + 1);
      return { ...entry, label: JSON.parse(text(client.end).value).label };
    }
    case MESSAGE:
      return { ...entry, label: JSON.parse(text(to.end).value).steps[0].label };
    case STEPS: {
      const user = text(text(to.end + 12).end);
      const steps = JSON.parse(text(user.end).value);
      const labels = steps.map(labelOfStep);
      const afters = steps.map(({ after }) => after);
      return { ...entry, label: labels.join(' '), labels, afters, version: number(to.end), toAll: true };
    }
    case UPDATE: {
      const user = text(text(to.end).end);
      const isByClient = number(2) !== 0;
      return { ...entry, label: JSON.parse(text(user.end).value).label, toAll: !isByClient };
    }
    case ANOTHER:
      return {
        ...entry,
        label: REPLACED,
        version: number(to.end),
        labels: labelsIn(JSON.parse(text(to.end + 16).value)),
        toAll: true,
      };
    default:
      throw new Error(`there is a publication of the kind ${payload[1]} in the log`);
  }
}
