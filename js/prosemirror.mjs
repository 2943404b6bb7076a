// @captify-io/hub/prosemirror: prosemirror-collab on a FabricClient. An ES module, as an app's own imports are: required, it
// would bring second copies of the prosemirror packages, whose states and keys are strangers to each other.
export { fabricCollab } from './prosemirror/plugin.mjs';
export { CollabSession } from './prosemirror/session.mjs';
export { fabricPeers, fabricStatus, setFabricUser } from './prosemirror/state.mjs';
