/** What happened, newest first. Rows keep their place while one reads: the tail can be paused. */
import { memo } from "preact/compat";
import { useRef, useState } from "react";
import { count, utc, whenOf } from "../format";
import { choose, loopHref } from "../router";
import type { Store } from "../state/store";
import type { Item } from "../state/timeline";
import { GROUPS, type Group } from "../words";
import { Icon, toneIcon } from "./icons";

interface TimelineParts {
  store: Store;
  loop?: string | undefined;
  limit: number;
  query: URLSearchParams;
  more?: boolean;
}

export function TimelinePanel({ store, loop, limit, query, more }: TimelineParts) {
  const [held, setHeld] = useState<Item[] | null>(null);
  const heldAt = useRef(0);
  const show = query.get("show") as Group | null;
  const all = held ?? store.timeline.items;
  const wanted = all.filter((item) => (!loop || item.app === loop) && (!show || item.group === show));
  const items = wanted.slice(0, limit);
  const waiting = held ? store.arrivals - heldAt.current : 0;
  return (
    <section class={more ? "panel timeline-panel bounded" : "panel timeline-panel"} aria-label="What happened">
      <div class="panel-head">
        <h2>What happened</h2>
        <button
          type="button"
          class="quiet-button"
          aria-pressed={held !== null}
          onClick={() => {
            heldAt.current = store.arrivals;
            setHeld(held ? null : [...store.timeline.items]);
          }}
        >
          <Icon name={held ? "play" : "pause"} size={16} />
          <span>{held ? (waiting > 0 ? `Go on (${count(waiting)} new)` : "Go on") : "Pause"}</span>
        </button>
      </div>
      <div class="chips" role="group" aria-label="Show only">
        <Chip label="All" on={!show} value={null} />
        {GROUPS.map((group) => (
          <Chip key={group.id} label={group.label} on={show === group.id} value={group.id} />
        ))}
      </div>
      {items.length === 0 ? (
        <p class="empty-line">{show ? "Nothing of this kind yet." : "Nothing has happened yet."}</p>
      ) : (
        <ol class="timeline" data-testid="timeline" tabIndex={more ? 0 : undefined} aria-label="Newest first">
          {items.map((item) => (
            <Row key={item.id} item={item} revision={item.revision} named={!loop && store.loops.size > 1} />
          ))}
        </ol>
      )}
      {more && wanted.length > limit && (
        <p class="panel-more">
          <a href="/events">All events</a>
        </p>
      )}
    </section>
  );
}

function Chip({ label, on, value }: { label: string; on: boolean; value: string | null }) {
  return (
    <button type="button" class="chip" aria-pressed={on} onClick={() => choose({ show: value })}>
      {label}
    </button>
  );
}

/** Drawn again only when its own item has changed: the tail is the longest part of the page. */
const Row = memo(function Row({ item, named }: { item: Item; revision: number; named: boolean }) {
  const [open, setOpen] = useState(false);
  const more = item.event !== undefined || (item.checks?.misses.length ?? 0) > 0;
  return (
    <li class={`item ${item.tone}`} data-testid="timeline-item" data-type={item.name}>
      <time dateTime={new Date(item.at).toISOString()} title={utc(item.at)}>
        {whenOf(item.at)}
      </time>
      <span class="item-sign">
        <Icon name={toneIcon(item.tone)} size={14} />
      </span>
      <div class="item-body">
        <p>
          <strong data-testid={item.name === "drift.detected" ? "drift-alert" : undefined}>{item.title}</strong>{" "}
          {named && item.app && <a href={loopHref(item.app)}>{item.app}</a>} <span>{item.sentence}</span>
        </p>
        {open && <Detail item={item} />}
      </div>
      {more && (
        <button
          type="button"
          class={open ? "item-more open" : "item-more"}
          aria-expanded={open}
          aria-label={`${open ? "Less" : "More"} about: ${item.title}`}
          onClick={() => setOpen(!open)}
        >
          <Icon name="down" size={16} />
        </button>
      )}
    </li>
  );
});

function Detail({ item }: { item: Item }) {
  if (!item.checks) return <pre class="raw">{JSON.stringify(item.event, null, 2)}</pre>;
  return (
    <ul class="misses">
      {item.checks.misses.map((miss) => (
        <li key={miss.id}>
          answered <q>{miss.got}</q>, right is <q>{miss.expected}</q> <span class="dim">input {miss.id}</span>
        </li>
      ))}
    </ul>
  );
}
