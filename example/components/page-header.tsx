import type { ReactNode } from 'react';
import { Mark } from './mark';
import { Nav } from './nav';
import styles from './page-header.module.css';

interface Props {
  /** What the page is about: the id of a document or a thread. */
  about?: { id: string; what: string };
  /** Address for the button that opens the same once more. */
  again: string | undefined;
  children?: ReactNode;
}

/** The top of every page: where one is, how things stand, and where else one may go. */
export function PageHeader({ about, again, children }: Props) {
  return (
    <header className={styles.header}>
      <h1 className={styles.brand}>
        <Mark />
        Captify Hub
      </h1>
      {about && (
        <span className={styles.about} title={`${about.what} ${about.id}`}>
          {about.id}
        </span>
      )}
      <div className={styles.pages}>
        <Nav />
      </div>
      <div className={styles.state}>{children}</div>
      <a className={styles.open} href={again} target="_blank" rel="noreferrer">
        Open another window
      </a>
    </header>
  );
}
