/** The transport over Socket.IO: namespace `/live`, WebSocket only, so that any server behind a balancer will do. */
import { io, type Socket } from "socket.io-client";
import type { Ack, Envelope, SubscribeRequest } from "../wire";
import type { Clock, Transport, TransportEvents } from "./ports";

const ACK_TIMEOUT_MS = 10_000;
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 5000;
const JITTER = 0.5;

export function socketTransport(clock: Clock, auth: () => Promise<Record<string, string>>): Transport {
  const socket: Socket = io("/live", {
    autoConnect: false,
    transports: ["websocket"],
    reconnectionDelay: FIRST_DELAY_MS,
    reconnectionDelayMax: LONGEST_DELAY_MS,
    randomizationFactor: JITTER,
    timeout: 10_000,
    auth: (give) => void auth().then(give, () => give({})),
  });
  let retries = 0;
  let cancel = (): void => {};

  /** The library reopens after a cut wire, but not after a refusal or a hang-up by the server: that is ours. */
  function comeBack(afterMs?: number): void {
    const delay = afterMs ?? Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** retries);
    retries += 1;
    cancel();
    cancel = clock.after(delay * (1 - JITTER + 2 * JITTER * clock.random()), () => socket.connect());
  }

  return {
    open(events: TransportEvents): void {
      let announced: number | undefined;
      socket.on("connect", () => {
        retries = 0;
        announced = undefined;
        events.up();
      });
      socket.on("disconnect", () => {
        events.down();
        if (!socket.active) comeBack(announced);
      });
      socket.on("connect_error", () => {
        events.down();
        if (!socket.active) comeBack();
      });
      socket.on("event", (envelope: Envelope) => events.envelopes([envelope]));
      socket.on("batch", (batch: Envelope[]) => events.envelopes(batch));
      socket.on("bye", (bye: { reason?: string; retry_after_ms?: number } | undefined) => {
        announced = bye?.retry_after_ms ?? FIRST_DELAY_MS;
        events.bye(bye?.reason ?? "");
      });
      socket.connect();
    },
    async subscribe(request: SubscribeRequest): Promise<Ack> {
      const ack = (await socket.timeout(ACK_TIMEOUT_MS).emitWithAck("subscribe", request)) as Ack & { error?: unknown };
      if (!Array.isArray(ack.events) || typeof ack.epoch !== "string") throw new Error("the subscription was refused");
      return ack;
    },
    hurry(): void {
      cancel();
      // Closing first resets the library's own waiting time.
      if (!socket.connected) socket.disconnect().connect();
    },
    close(): void {
      cancel();
      socket.disconnect();
    },
  };
}
