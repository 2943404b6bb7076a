import { MockLanguageModelV2, simulateReadableStream } from 'ai/test';

type Prompt = Parameters<MockLanguageModelV2['doStream']>[0]['prompt'];

/** A real model writes about as fast. */
const PAUSE_MS = 35;
const THINKING_MS = 400;

/** A model that needs no key: the AI SDK's mock, with an answer to anything. */
export const model = new MockLanguageModelV2({
  modelId: 'mock',
  doStream: async ({ prompt }) => {
    const words = answerTo(lastQuestion(prompt)).match(/\S+\s*/g) ?? [];
    return {
      stream: simulateReadableStream({
        initialDelayInMs: THINKING_MS,
        chunkDelayInMs: PAUSE_MS,
        chunks: [
          { type: 'stream-start' as const, warnings: [] },
          { type: 'text-start' as const, id: 'text' },
          ...words.map((delta) => ({ type: 'text-delta' as const, id: 'text', delta })),
          { type: 'text-end' as const, id: 'text' },
          {
            type: 'finish' as const,
            finishReason: 'stop' as const,
            usage: {
              inputTokens: prompt.length,
              outputTokens: words.length,
              totalTokens: prompt.length + words.length,
            },
          },
        ],
      }),
    };
  },
});

function lastQuestion(prompt: Prompt): string {
  const message = prompt.findLast(({ role }) => role === 'user');
  if (message === undefined || typeof message.content === 'string') return '';
  return message.content.map((part) => (part.type === 'text' ? part.text : '')).join(' ');
}

function answerTo(question: string): string {
  return [
    `You asked: “${question.trim()}” I am a mock model, so I cannot know. What I can do is write at the pace of a real one, ` +
      'a word at a time, so that you can watch how these words reach you.',
    'Each of them is a chunk of a stream that belongs to this thread and not to your window. The hub numbers the chunks ' +
      'and keeps them for a while. Whoever is connected to the thread gets them, in every window.',
    'Reload this page now. The socket is cut in the middle of a sentence, and the model goes on writing without you. ' +
      'When the page is back it asks for the stream again, and gets all of it: nothing is missing, and nothing comes twice.',
    'Or stop me. Then the signal that was handed to the model is aborted, and no more words are made, or paid for. ' +
      'The same happens when the last window has been gone for half a minute. Otherwise I go on to the end, which is here.',
  ].join('\n\n');
}
