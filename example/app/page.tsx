import { Workspace } from '@/components/workspace';
import { documentIdFrom } from '@/lib/document-id';

interface Props {
  searchParams: Promise<{ document?: string | string[] }>;
}

export default async function Page({ searchParams }: Props) {
  const documentId = documentIdFrom((await searchParams).document);
  return <Workspace key={documentId} documentId={documentId} canBlock={process.env.HUB_EXAMPLE_BLOCK === '1'} />;
}
