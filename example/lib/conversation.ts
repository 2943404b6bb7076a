import type { UIMessage } from 'ai';

/** Threads and messages are this window's: a real app keeps them in its database. */
const THREAD = 'agent-example:thread';
const messagesOf = (threadId: string) => `agent-example:messages:${threadId}`;

/** The thread this window is in: the one asked for, or its own. */
export function threadOf(asked: string | undefined): string {
  const threadId = asked ?? read(THREAD) ?? randomId();
  write(THREAD, threadId);
  return threadId;
}

/** A thread nobody was in before. */
export function newThread(): string {
  const threadId = randomId();
  write(THREAD, threadId);
  return threadId;
}

export function loadMessages(threadId: string): UIMessage[] {
  try {
    const saved: unknown = JSON.parse(read(messagesOf(threadId)) ?? '[]');
    return Array.isArray(saved) ? saved : [];
  } catch {
    return [];
  }
}

export function saveMessages(threadId: string, messages: UIMessage[]): void {
  write(messagesOf(threadId), JSON.stringify(messages));
}

/** Not randomUUID, which browsers have only on https and localhost. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(36).padStart(2, '0')).join('');
}

function read(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // Then it is forgotten with the page.
  }
}
