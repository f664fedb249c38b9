/** What the run costs: processor time of this process and of those that nodes have to themselves, since the mesh was up. */
export class Processor {
  readonly #cpuMs = new Map<string, number>();
  readonly #cpuMsBefore = new Map<string, number>();
  #goneMs = 0;
  #startedAt = performance.now();
  #startedCpuMs = ownCpuMs();

  /** What a process of a node has used so far. */
  add(name: string, cpuMs: number): void {
    this.#cpuMs.set(name, cpuMs);
  }

  /** The process has ended; the next one of the name begins with nothing. */
  gone(name: string): void {
    this.#goneMs += this.#usedBy(name);
    this.#cpuMs.delete(name);
    this.#cpuMsBefore.delete(name);
  }

  /** The mesh is up: what starting cost does not count. */
  start(): void {
    for (const [name, cpuMs] of this.#cpuMs) this.#cpuMsBefore.set(name, cpuMs);
    this.#startedAt = performance.now();
    this.#startedCpuMs = ownCpuMs();
  }

  #usedBy(name: string): number {
    return (this.#cpuMs.get(name) ?? 0) - (this.#cpuMsBefore.get(name) ?? 0);
  }

  summary(): { readonly cpuSecondsPer10s: number } {
    let cpuMs = this.#goneMs + ownCpuMs() - this.#startedCpuMs;
    for (const name of this.#cpuMs.keys()) cpuMs += this.#usedBy(name);
    const per10s = (10 * cpuMs) / Math.max(performance.now() - this.#startedAt, 1);
    return { cpuSecondsPer10s: Math.round(100 * per10s) / 100 };
  }
}

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
