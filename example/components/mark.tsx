import styles from './mark.module.css';

/** The hub's sign. */
export function Mark() {
  return (
    <svg className={styles.mark} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" fill="currentColor" />
      <g fill="var(--on-accent)" stroke="var(--on-accent)" strokeWidth="2" strokeLinecap="round">
        <path d="M16 16V7M16 16l7.8 4.5M16 16l-7.8 4.5" />
        <circle cx="16" cy="16" r="2.8" />
        <circle cx="16" cy="7" r="1.6" />
        <circle cx="23.8" cy="20.5" r="1.6" />
        <circle cx="8.2" cy="20.5" r="1.6" />
      </g>
    </svg>
  );
}
