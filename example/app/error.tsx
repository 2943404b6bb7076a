'use client';

import styles from './error.module.css';

/** What is shown where a page could not be made, such as when a part of it did not come. */
export default function ErrorPage({ reset }: { error: Error; reset: () => void }) {
  return (
    <main className={styles.page} role="alert">
      <h1 className={styles.title}>This page could not be shown</h1>
      <p>A part of it is missing, most likely because the connection was. What you wrote is not lost.</p>
      <button type="button" className={styles.button} onClick={reset}>
        Try again
      </button>
    </main>
  );
}
