import { createAgentHandler } from '@captify-io/hub/agent';
import { convertToModelMessages, streamText, type UIMessage } from 'ai';
import { model } from './model';

export const agentHandler = createAgentHandler<{ messages: UIMessage[] }>({
  path: '/ws/agent',
  onRequest({ data, signal, streamId }) {
    const result = streamText({ model, messages: convertToModelMessages(data.messages), abortSignal: signal });
    // The message is named by its stream, so that a window which reads it again after a reload replaces what it has.
    return result.toUIMessageStream({ originalMessages: data.messages, generateMessageId: () => streamId });
  },
});
