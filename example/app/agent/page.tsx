import type { Metadata } from 'next';
import { AgentPage } from '@/components/agent-page';

export const metadata: Metadata = {
  title: 'Captify Hub: an agent’s answer',
  description: 'An answer that is written word by word, can be stopped, and survives a reload in the middle.',
};

interface Props {
  searchParams: Promise<{ thread?: string | string[] }>;
}

export default async function Page({ searchParams }: Props) {
  const { thread } = await searchParams;
  return <AgentPage asked={typeof thread === 'string' && thread !== '' ? thread : undefined} />;
}
