import styles from './skeleton.module.css';

/** Stands where a document will be. */
export function Skeleton() {
  return (
    <div className={styles.lines} role="status" aria-label="Loading the document">
      <span className={styles.line} />
      <span className={styles.line} />
      <span className={styles.line} />
      <span className={styles.line} />
    </div>
  );
}
