// The plugins of an editor with a view.
import { collab } from 'prosemirror-collab';
import { cursorDecorations } from './cursors.mjs';
import { CollabSession } from './session.mjs';
import { fabricKey, mayEdit, statePlugin } from './state.mjs';

/** See prosemirror.d.mts. */
export function fabricCollab(client, options = {}) {
  const { user: first, cursor, ...events } = options;
  const steps = collab({ clientID: client.clientID });
  const plugin = statePlugin(steps, {
    props: {
      editable: mayEdit,
      decorations: (state) => cursorDecorations(state, cursor),
    },
    view(view) {
      const told = () => fabricKey.getState(view.state);
      let { touched, user } = told();
      const show = () => {
        const fields = told().user ?? first;
        if (fields) session.show(fields);
      };
      const session = new CollabSession(view, client, { ...events, onLive: show });
      let isGone = false;
      // Not before whoever makes the view has it: a transaction of this session is dispatched through their hands.
      queueMicrotask(() => isGone || session.start());
      return {
        update() {
          session.update();
          const now = told();
          // What others write moves the selection of everybody, who all know that by themselves.
          if (now.touched !== touched || now.user !== user) show();
          ({ touched, user } = now);
        },
        destroy() {
          isGone = true;
          session.stop();
        },
      };
    },
  });
  return [steps, plugin];
}
