'use client';

import { useChat } from '@ai-sdk/react';
import { AgentChatTransport } from '@captify-io/hub/agent-client';
import type { UIMessage } from 'ai';
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { loadMessages, saveMessages } from '@/lib/conversation';
import controls from './controls.module.css';
import styles from './conversation.module.css';

const SUGGESTIONS = ['What happens when I reload?', 'Who else can read this?', 'Tell me about WebSockets'];
/** A reader this close to the end is taken along as the answer grows. */
const NEAR_END_PX = 120;

export function Conversation({ threadId }: { threadId: string }) {
  const [transport] = useState(() => new AgentChatTransport());
  const [saved] = useState(() => loadMessages(threadId));
  const { messages, sendMessage, stop, status, error, clearError } = useChat({
    id: threadId,
    messages: saved,
    transport,
    resume: true,
  });
  const isBusy = status === 'submitted' || status === 'streaming';
  const shown = messages.filter((message) => message.role === 'user' || textOf(message) !== '');
  const isThinking = isBusy && shown.at(-1)?.role === 'user';

  useEffect(() => saveMessages(threadId, messages), [threadId, messages]);
  useFollowedEnd(messages);

  const ask = (text: string) => {
    if (error) clearError();
    void sendMessage({ text });
  };

  return (
    <main className={styles.conversation} data-status={status}>
      {shown.length === 0 ? (
        <Welcome onAsk={ask} />
      ) : (
        <ol className={styles.messages} aria-label="Conversation">
          {shown.map((message, index) => (
            <Message key={message.id} message={message} isWriting={isBusy && index === shown.length - 1} />
          ))}
          {isThinking && (
            <li className={styles.thinking} role="status">
              Thinking
            </li>
          )}
        </ol>
      )}
      {error && (
        <p className={styles.error} role="alert">
          {error.message}. Ask again to try once more.
        </p>
      )}
      <Question isBusy={isBusy} onAsk={ask} onStop={() => void stop()} />
    </main>
  );
}

function Welcome({ onAsk }: { onAsk(text: string): void }) {
  return (
    <div className={styles.welcome}>
      <h2 className={styles.title}>Ask the agent</h2>
      <p className={styles.lead}>
        Its answer comes word by word. Stop it, reload the page in the middle, or watch it from another window.
      </p>
      <ul className={styles.suggestions}>
        {SUGGESTIONS.map((text) => (
          <li key={text}>
            <button type="button" className={controls.quiet} onClick={() => onAsk(text)}>
              {text}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Message({ message, isWriting }: { message: UIMessage; isWriting: boolean }) {
  const text = textOf(message);
  if (message.role === 'user') return <li className={styles.question}>{text}</li>;
  return (
    <li className={styles.answer} data-writing={isWriting} aria-busy={isWriting} aria-label="Answer">
      {text.split('\n\n').map((paragraph, index) => (
        <p key={index}>{paragraph}</p>
      ))}
    </li>
  );
}

function textOf(message: UIMessage): string {
  return message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

interface QuestionProps {
  isBusy: boolean;
  onAsk(text: string): void;
  onStop(): void;
}

function Question({ isBusy, onAsk, onStop }: QuestionProps) {
  const [text, setText] = useState('');

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isBusy || text.trim() === '') return;
    onAsk(text);
    setText('');
  };

  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    submit(event);
  };

  return (
    <form className={styles.form} onSubmit={submit}>
      <textarea
        className={styles.field}
        rows={1}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
        placeholder="Ask something"
        aria-label="Question"
        autoFocus
      />
      {isBusy ? (
        <button type="button" className={controls.quiet} onClick={onStop}>
          Stop
        </button>
      ) : (
        <button type="submit" className={controls.button} disabled={text.trim() === ''}>
          Ask
        </button>
      )}
    </form>
  );
}

/** Keeps the end of the page in sight while it grows, unless its reader has gone up to read. */
function useFollowedEnd(messages: UIMessage[]) {
  const heightBefore = useRef(0);
  useEffect(() => {
    const { scrollHeight } = document.documentElement;
    const wasAtEnd = window.scrollY + window.innerHeight > heightBefore.current - NEAR_END_PX;
    heightBefore.current = scrollHeight;
    if (wasAtEnd) window.scrollTo({ top: scrollHeight });
  }, [messages]);
}
