/** Asks once, says what will happen, takes a reason, and shows the server's answer when it says no. */
import { useEffect, useRef, useState } from "react";

export interface Question {
  title: string;
  consequence: string;
  button: string;
  danger?: boolean;
  act: (reason: string) => Promise<unknown>;
}

export function Confirm({ question, done }: { question: Question; done: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState("");

  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);

  async function act(): Promise<void> {
    setBusy(true);
    setRefusal("");
    try {
      await question.act(reason.trim());
      done();
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  }

  return (
    <dialog
      ref={dialog}
      class="confirm"
      data-testid="confirm-dialog"
      aria-labelledby="confirm-title"
      aria-describedby="confirm-consequence"
      onCancel={(event) => {
        event.preventDefault();
        if (!busy) done();
      }}
    >
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy) void act();
        }}
      >
        <h2 id="confirm-title">{question.title}</h2>
        <p id="confirm-consequence">{question.consequence}</p>
        <label class="field">
          <span>
            Reason <span class="dim">(optional, kept with the change)</span>
          </span>
          <input
            type="text"
            data-testid="confirm-reason"
            maxLength={200}
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
        {refusal && (
          <p class="refusal" role="alert">
            {refusal}
          </p>
        )}
        <div class="confirm-buttons">
          <button type="button" class="button" data-testid="confirm-cancel" disabled={busy} onClick={done}>
            Cancel
          </button>
          <button type="submit" class={question.danger ? "button danger" : "button primary"} data-testid="confirm-ok" disabled={busy}>
            {busy ? "Asking…" : question.button}
          </button>
        </div>
      </form>
    </dialog>
  );
}
