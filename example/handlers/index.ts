import { fabricHandler, type WebSocketHandler } from '@captify-io/hub';
import { agentHandler } from './agent';

export const handlers: WebSocketHandler[] = [fabricHandler, agentHandler];
