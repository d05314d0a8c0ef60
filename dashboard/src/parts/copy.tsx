/** A command to run, with one click to take it along. */
import { useState } from "react";
import { Icon } from "./icons";

export function Command({ text }: { text: string }) {
  const [taken, setTaken] = useState(false);
  return (
    <div class="command">
      <code>{text}</code>
      <button
        type="button"
        class="quiet-button"
        onClick={() => {
          // Outside https the clipboard is closed to pages; the text can still be selected.
          void navigator.clipboard?.writeText(text).then(() => {
            setTaken(true);
            setTimeout(() => setTaken(false), 1500);
          });
        }}
      >
        <Icon name={taken ? "good" : "copy"} size={16} />
        <span>{taken ? "Copied" : "Copy"}</span>
      </button>
    </div>
  );
}
