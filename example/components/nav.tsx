'use client';

import Link from 'next/link';
import { usePathname } from 'next/navigation';
import styles from './nav.module.css';

const PAGES = [
  { href: '/', name: 'Text' },
  { href: '/note', name: 'Note' },
  { href: '/agent', name: 'Agent' },
];

/** The pages of the example. */
export function Nav() {
  const pathname = usePathname();
  return (
    <nav className={styles.pages} aria-label="Pages">
      {PAGES.map(({ href, name }) => (
        <Link key={href} className={styles.page} href={href} aria-current={href === pathname ? 'page' : undefined}>
          {name}
        </Link>
      ))}
    </nav>
  );
}
