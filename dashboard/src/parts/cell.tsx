/** A table cell that can stand alone: on a telephone it carries its column's name with it. */
import type { ComponentChildren } from "preact";

export function Cell(props: { label: string; class?: string; children: ComponentChildren }) {
  return (
    <td data-label={props.label} class={props.class}>
      <span class="cell">{props.children}</span>
    </td>
  );
}
