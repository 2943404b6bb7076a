import type { Metadata } from 'next';
import { NoteWorkspace } from '@/components/note-workspace';
import { noteIdFrom } from '@/lib/document-id';

export const metadata: Metadata = {
  title: 'Captify Hub: a note that stays',
  description: 'A ProseMirror note that people and an agent edit at once, and that is stored before anybody sees it.',
};

interface Props {
  searchParams: Promise<{ document?: string | string[] }>;
}

export default async function Page({ searchParams }: Props) {
  const documentId = noteIdFrom((await searchParams).document);
  return <NoteWorkspace key={documentId} documentId={documentId} />;
}
