import { type ReactNode, useId } from 'react';
import styles from './panel.module.css';

interface Props {
  title: string;
  /** Set beside the title, such as a count. */
  extra?: ReactNode;
  children: ReactNode;
}

/** A card of the sidebar. */
export function Panel({ title, extra, children }: Props) {
  const id = useId();
  return (
    <section className={styles.panel} aria-labelledby={id}>
      <div className={styles.head}>
        <h2 id={id} className={styles.title}>
          {title}
        </h2>
        {extra !== undefined && <span className={styles.extra}>{extra}</span>}
      </div>
      {children}
    </section>
  );
}
