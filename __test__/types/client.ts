// How a browser's code uses the chat transport; types.test.mjs compiles it. It is never run.
import { AgentChatTransport, AgentError } from '@captify-io/hub/agent-client';
import { AbstractChat, type ChatState, type ChatTransport, type UIMessage, type UIMessageChunk } from 'ai';

interface Metadata {
  model: string;
}

type Message = UIMessage<Metadata>;

export const transports: ChatTransport<Message>[] = [
  new AgentChatTransport(),
  new AgentChatTransport<Message>({
    url: new URL('wss://example.org/ws/agent'),
    prepareData: ({ messages, body }) => ({ model: messages.at(-1)?.metadata?.model, ...body }),
    storage: localStorage,
    idleMs: 1000,
    giveUpMs: 1000,
    longestRetryMs: 1000,
    WebSocket,
  }),
];

export class Chat extends AbstractChat<Message> {
  constructor(state: ChatState<Message>) {
    super({ id: 'chat', state, transport: new AgentChatTransport<Message>({ storage: null }) });
  }
}

export async function resume(transport: AgentChatTransport): Promise<ReadableStream<UIMessageChunk> | null> {
  try {
    return await transport.reconnectToStream({ chatId: 'chat' });
  } catch (error) {
    if (error instanceof AgentError && error.code === 'CLOSED') transport.close();
    throw error;
  }
}
