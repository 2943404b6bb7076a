import { PageHeader } from './page-header';
import { Notice } from './status';
import styles from './workspace.module.css';

/** In place of a note where several processes share a Redis. */
export function NoNotes() {
  return (
    <div className={styles.page}>
      <PageHeader again={undefined} />
      <Notice tone="warn">
        A note needs one authority for its order, and over several processes there is none yet. The text is shared by
        all of them; for notes start the example in one process.
      </Notice>
    </div>
  );
}
