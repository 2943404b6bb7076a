import { redirect } from 'next/navigation';
import { Workspace } from '@/components/workspace';
import { pageOf, textIdFrom } from '@/lib/document-id';
import { isNote } from '@/lib/kinds.mjs';

interface Props {
  searchParams: Promise<{ document?: string | string[] }>;
}

export default async function Page({ searchParams }: Props) {
  const documentId = textIdFrom((await searchParams).document);
  if (isNote(documentId)) redirect(pageOf(documentId));
  return <Workspace key={documentId} documentId={documentId} canBlock={process.env.HUB_EXAMPLE_BLOCK === '1'} />;
}
