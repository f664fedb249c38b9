/** CLOCK_MONOTONIC in ms, which all processes of one machine share: what makes one-way delays between them measurable. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
