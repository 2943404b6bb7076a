import { createAdminRoute } from '@captify-io/hub/admin';
import { operatorOf } from '@/lib/operator';

/** The hub's own page for who runs it. A real app looks at its session here, and at who may see the page. */
export const { GET, POST } = createAdminRoute({ authorize: operatorOf });
