import { createHash, timingSafeEqual } from 'node:crypto';

/** The example has no accounts, so the browser asks for a name and this password. Without one nobody is let in. */
const password = process.env.HUB_EXAMPLE_ADMIN_PASSWORD;

/** Who asks, by the name they gave with the right password; else what has the browser ask for them. */
export function operatorOf(request: Request): { name: string } | Response | false {
  if (!password) return false;
  const [, sent] = /^Basic ([\w+/=]+)$/.exec(request.headers.get('authorization') ?? '') ?? [];
  const [, name, given] = /^([^:]*):(.*)$/s.exec(Buffer.from(sent ?? '', 'base64').toString()) ?? [];
  if (name && given !== undefined && isSame(given, password)) return { name };
  return new Response('Unauthorized', {
    status: 401,
    headers: { 'www-authenticate': 'Basic realm="Operators", charset="UTF-8"', 'cache-control': 'no-store' },
  });
}

/** In the same time, however much of it is right. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
