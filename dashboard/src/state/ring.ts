/** A list that forgets its oldest when full. */
export class Ring<T> {
  readonly items: T[] = [];

  constructor(readonly bound: number) {}

  push(item: T): void {
    this.items.push(item);
    // Trimming in slices keeps the cost of forgetting constant on average.
    if (this.items.length > this.bound * 1.25) this.items.splice(0, this.items.length - this.bound);
  }

  get last(): T | undefined {
    return this.items[this.items.length - 1];
  }

  clear(): void {
    this.items.length = 0;
  }
}
