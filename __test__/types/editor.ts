// How an app's editor uses the plugin; types.test.mjs compiles it. It is never run.
import { FabricClient } from '@captify-io/hub/client';
import {
  CollabSession,
  fabricCollab,
  fabricPeers,
  fabricStatus,
  setFabricUser,
  type FabricCollabReload,
  type FabricCollabState,
  type FabricCollabStatus,
} from '@captify-io/hub/prosemirror';
import { Schema } from 'prosemirror-model';
import { EditorState } from 'prosemirror-state';
import { EditorView } from 'prosemirror-view';

const LABELS: Record<FabricCollabState, string> = {
  closed: 'Closed',
  connecting: 'Loading',
  failed: 'Failed',
  offline: 'Offline',
  readOnly: 'Read only',
  saved: 'Saved',
  saving: 'Saving',
  stored: 'Saving',
};

export function edit(schema: Schema, place: HTMLElement): () => void {
  const client = new FabricClient({ documentId: 'document', clientID: crypto.randomUUID() });
  const plugins = fabricCollab(client, {
    user: { userName: 'Ada', userColor: '#b4232a' },
    cursor: ({ userName, head }) => Object.assign(document.createElement('i'), { title: `${userName} ${head}` }),
    onStatus: ({ state, version, reason }: FabricCollabStatus) => console.log(LABELS[state], version, reason),
    onReload: ({ uncertain, dropped, before }: FabricCollabReload) =>
      console.log(uncertain + dropped, before.textContent),
    onError: (error) => error.code === 'BAD_DOCUMENT' && console.error(error),
  });
  const view = new EditorView(place, { state: EditorState.create({ schema, plugins }) });
  console.log(fabricStatus(view.state).unconfirmed, fabricPeers(view.state)[0]?.userName);
  setFabricUser(view, { userName: 'Ada L.', userColor: '#b4232a' });
  return () => {
    view.destroy();
    client.close();
  };
}

export function program(schema: Schema, client: FabricClient): CollabSession {
  const editor = {
    state: EditorState.create({ schema, plugins: fabricCollab(client) }),
    dispatch(transaction: Parameters<EditorState['apply']>[0]) {
      editor.state = editor.state.apply(transaction);
    },
  };
  const session = new CollabSession(editor, client, { onLive: () => session.update() });
  session.start();
  return session;
}
