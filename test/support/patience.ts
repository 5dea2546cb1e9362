/**
 * Milliseconds after which a test is ended that takes longer than others: only what hangs does. How fast a machine is, what
 * else it does and under which sanitizer it runs decides nothing.
 */
export const PATIENCE = 600_000;
