// What every hub of the fault test is told.

/** So that windows end within seconds, and clients are slow when the kernel's 4 MiB are full. */
export const HUB = { maxOutboxBytes: 128 * 1024, recoveryWindowMs: 4000 };
