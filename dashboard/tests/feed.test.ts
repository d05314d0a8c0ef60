/** The feed against a server with a history: what is shown is the history, once each, in order, whatever happens. */
import { describe, expect, test } from "vitest";
import { Feed, type Connection, type Position } from "../src/feed/feed";
import type { Envelope } from "../src/wire";
import { FakeServer, StillClock, kept, loose, settle } from "./world";

function setUp(options: { bound?: number } = {}) {
  const clock = new StillClock();
  const server = new FakeServer();
  const shown: Envelope[] = [];
  const batches: number[] = [];
  const connections: Connection[] = [];
  const loads: Position[] = [];
  const feed = new Feed({
    transport: server,
    clock,
    rooms: () => ["alerts"],
    load: async () => {
      const position = { epoch: server.epoch, sequence: server.head };
      loads.push({ ...position });
      return position;
    },
    apply: (batch) => {
      shown.push(...batch);
      batches.push(batch.length);
    },
    changed: (connection) => connections.push(connection),
    ...options,
  });
  feed.start();
  const ids = (): string[] => shown.map((e) => e.id);
  return { clock, server, feed, shown, batches, connections, loads, ids };
}

async function live(options: { bound?: number } = {}) {
  const world = setUp(options);
  world.server.up();
  await world.clock.pass(0);
  return world;
}

describe("position", () => {
  test("it starts from the snapshot's position and becomes live", async () => {
    const world = setUp();
    world.server.store(3);
    expect(world.feed.connection.kind).toBe("connecting");
    world.server.up();
    await world.clock.pass(1000);
    expect(world.server.requests).toEqual([{ rooms: ["alerts"], epoch: "e1", after: "3", names: false }]);
    expect(world.feed.connection.kind).toBe("live");
    expect(world.ids()).toEqual([]);
  });

  test("the next event is taken and a repeated one is dropped", async () => {
    const { server, clock, ids, feed } = await live();
    const [a, b] = server.store(2) as [Envelope, Envelope];
    server.send(a, a, b, a, b);
    await clock.pass(200);
    expect(ids()).toEqual(["k1", "k2"]);
    expect(feed.stats.duplicates).toBe(3);
  });

  test("a gap is filled from the server, in order, and nothing is shown twice", async () => {
    const { server, clock, ids, feed } = await live();
    const events = server.store(5);
    server.send(events[0]!, events[3]!, events[4]!);
    await clock.pass(1000);
    expect(ids()).toEqual(["k1", "k2", "k3", "k4", "k5"]);
    expect(feed.stats.gaps).toBeGreaterThan(0);
    expect(server.requests.at(-1)).toEqual({ rooms: ["alerts"], epoch: "e1", after: "1", names: false });
  });

  test("what arrives while a gap is being filled waits its turn", async () => {
    const { server, clock, ids } = await live();
    await clock.pass(1000);
    server.hold();
    const events = server.store(3);
    server.send(events[2]!);
    await settle();
    const late = server.store(2);
    server.send(...late);
    server.release();
    await clock.pass(1000);
    expect(ids()).toEqual(["k1", "k2", "k3", "k4", "k5"]);
  });

  test("holes left by rooms of others cost one question each interval, not one each event", async () => {
    const { server, clock, ids } = await live();
    for (let i = 0; i < 40; i += 1) {
      server.store(1);
      server.send(...server.store(1));
      await clock.pass(10);
    }
    await clock.pass(1000);
    expect(server.requests.length).toBeLessThan(8);
    expect(new Set(ids()).size).toBe(ids().length);
    expect(ids().at(-1)).toBe("k80");
  });

  test("events without a position are made unique by id and never held back", async () => {
    const { server, clock, ids, feed } = await live();
    server.send(loose("m1"), loose("m1"), loose("v1", "validation.completed"), loose("v1", "validation.completed"));
    await clock.pass(200);
    expect(ids()).toEqual(["m1", "v1"]);
    expect(feed.stats.duplicates).toBe(2);
  });

  test("a sequence that is no number is treated as none", async () => {
    const { server, clock, ids, feed } = await live();
    server.send({ ...kept(1), id: "odd", sequence: "not-a-number" });
    await clock.pass(200);
    expect(ids()).toEqual(["odd"]);
    expect(feed.position?.sequence).toBe(0);
  });
});

describe("epoch", () => {
  test("another epoch loads the snapshot again and goes on from there", async () => {
    const { server, clock, ids, feed, loads } = await live();
    server.send(...server.store(2));
    await clock.pass(500);
    server.epoch = "e2";
    server.history = [];
    const [first] = server.store(1) as [Envelope];
    server.send(first);
    await clock.pass(1000);
    expect(loads).toHaveLength(2);
    expect(feed.position).toEqual({ epoch: "e2", sequence: 1 });
    server.send(...server.store(1));
    await clock.pass(500);
    expect(ids()).toEqual(["k1", "k2", "k2"]);
    expect(feed.stats.resets).toBe(1);
    expect(feed.connection.kind).toBe("live");
  });

  test("a server that resets again and again is asked with growing pauses", async () => {
    const world = setUp();
    world.server.forget = true;
    world.server.up();
    await world.clock.pass(10_000);
    expect(world.server.requests.length).toBeLessThan(16);
    world.server.forget = false;
    await world.clock.pass(10_000);
    expect(world.feed.connection.kind).toBe("live");
  });
});

describe("disconnects", () => {
  test("offline says since when, and coming back brings what was missed", async () => {
    const { server, clock, ids, connections } = await live();
    server.send(...server.store(1));
    await clock.pass(500);
    server.down();
    const since = clock.now();
    await clock.pass(4000);
    expect(connections.at(-1)).toEqual({ kind: "offline", since });
    server.store(7);
    server.up();
    await clock.pass(500);
    expect(ids()).toEqual(["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"]);
    expect(connections.slice(-2)).toEqual([{ kind: "catching-up", events: 7 }, { kind: "live" }]);
  });

  test("several reports of the same outage keep the first time", async () => {
    const { server, clock, connections } = await live();
    server.down();
    const since = clock.now();
    await clock.pass(900);
    server.bye("shutdown");
    server.down();
    expect(connections.filter((c) => c.kind === "offline")).toEqual([{ kind: "offline", since }]);
  });

  test("an answer lost on the way is asked for again", async () => {
    const { server, clock, ids } = await live();
    await clock.pass(1000);
    server.failNext = 2;
    server.send(server.store(3)[2]!);
    await clock.pass(5000);
    expect(ids()).toEqual(["k1", "k2", "k3"]);
  });

  test("a nudge asks at once when connected and hurries the connection when not", async () => {
    const { server, clock, feed, ids } = await live();
    server.store(2);
    feed.nudge();
    await clock.pass(200);
    expect(ids()).toEqual(["k1", "k2"]);
    server.down();
    feed.nudge();
    expect(server.hurried).toBe(1);
  });
});

describe("a page slower than the stream", () => {
  test("paints at most eight times a second", async () => {
    const { server, clock, batches, ids } = await live();
    for (let i = 0; i < 200; i += 1) {
      server.send(...server.store(1));
      await clock.pass(5);
    }
    await clock.pass(200);
    expect(ids()).toHaveLength(200);
    expect(batches.length).toBeLessThanOrEqual(9);
  });

  test("lets chart windows go first, then checks, and keeps every kept event", async () => {
    const { server, clock, ids, feed } = await live({ bound: 100 });
    for (let i = 0; i < 300; i += 1) {
      server.send(loose(`m${i}`));
      if (i % 10 === 0) server.send(loose(`v${i}`, "validation.completed"));
      if (i % 10 === 5) server.send(...server.store(1));
    }
    await clock.pass(200);
    expect(ids().length).toBeLessThanOrEqual(100);
    expect(ids().filter((id) => id.startsWith("k"))).toHaveLength(30);
    expect(ids().filter((id) => id.startsWith("v"))).toHaveLength(30);
    expect(feed.stats.skipped).toBeGreaterThan(0);
  });

  test("starts over from a snapshot when even kept events do not fit", async () => {
    const { server, clock, feed, loads, ids } = await live({ bound: 50 });
    server.send(...server.store(80));
    await clock.pass(2000);
    expect(loads.length).toBe(2);
    expect(feed.position?.sequence).toBe(80);
    expect(ids().length).toBeLessThanOrEqual(50);
    server.send(...server.store(1));
    await clock.pass(500);
    expect(ids().at(-1)).toBe("k81");
  });

  test("comes back with its position after the server hung up on it", async () => {
    const { server, clock, ids, connections } = await live();
    server.send(...server.store(2));
    await clock.pass(500);
    server.bye("slow_consumer");
    server.down();
    server.store(3);
    await clock.pass(300);
    server.up();
    await clock.pass(500);
    expect(server.requests.at(-1)?.after).toBe("2");
    expect(ids()).toEqual(["k1", "k2", "k3", "k4", "k5"]);
    expect(connections.at(-1)?.kind).toBe("live");
  });
});
