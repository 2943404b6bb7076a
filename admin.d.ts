/**
 * `@captify-io/hub/admin`: a page for those who run the hub, which shows it live and can act on it. docs/admin.md has what it
 * shows and does.
 *
 * Plain JavaScript without a side effect on import, as `@captify-io/hub` is; the page and its files are part of it, and
 * nothing is loaded from elsewhere.
 */

/**
 * Who is let in: `true`, or a name, with which the security log says who has done what. Everything else is a no, answered with
 * 403, or with the `Response` where it is one: a redirect to where to sign in, a 401 that asks for a password.
 */
export type AdminAnswer = boolean | { readonly name: string } | Response | null | undefined;

/** What {@link createAdminRoute} takes. */
export interface AdminRouteOptions {
  /**
   * Decides about each request, those for data and actions as well: whoever is let in sees the ids of users and documents,
   * and may disconnect them. What it throws goes to Next, so that `redirect('/login')` works; then nothing is served.
   */
  authorize(request: Request): AdminAnswer | Promise<AdminAnswer>;
}

/** What a route file exports. */
export interface AdminRoute {
  /** Serves the page, its files, and what it shows. */
  GET(request: Request, context: AdminRouteContext): Promise<Response>;
  /** Does what the page is asked to; only for the page itself, by its origin, and only JSON. */
  POST(request: Request, context: AdminRouteContext): Promise<Response>;
}

/** What Next hands to a route handler beside the request: the rest of a catch-all path is in it, below which there is nothing. */
export interface AdminRouteContext {
  params: Promise<any>;
}

/**
 * Makes the handlers of a catch-all route, such as `app/admin/hub/[[...path]]/route.ts`.
 *
 * @throws `HUB_INVALID_ARGUMENT` without `authorize`
 */
export function createAdminRoute(options: AdminRouteOptions): AdminRoute;
