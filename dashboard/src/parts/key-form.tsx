/** Outside loopback the server asks for a key. It stays in this tab. */
import { useState } from "react";
import { key } from "../api";

export function KeyForm() {
  const [value, setValue] = useState("");
  return (
    <section class="lone">
      <h1>This Loopai asks for a key</h1>
      <p>Paste an API key. It is kept in this tab only, and forgotten when you close it.</p>
      <form
        class="key-form"
        onSubmit={(event) => {
          event.preventDefault();
          key.set(value);
          location.reload();
        }}
      >
        <label>
          <span>API key</span>
          <input type="password" autocomplete="off" spellcheck={false} value={value} onInput={(e) => setValue(e.currentTarget.value)} />
        </label>
        <button type="submit" class="button primary" disabled={!value.trim()}>
          Open
        </button>
      </form>
    </section>
  );
}
