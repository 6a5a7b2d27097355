// Shows what nodes/host/notices.py says during a run: a control that never acted, a condition image that was cropped.
import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";

const EVENT = "zeroctl.notice";
// Milliseconds. A run may end while nobody looks, so what matters stays longer.
const LIFE = { info: 6000, warn: 20000, error: 60000 };

/** @param {{title: string, text: string, severity: "info" | "warn" | "error"}} notice */
function show({ title, text, severity }) {
  console[severity](`[zeroctl] ${title}: ${text}`);
  app.extensionManager.toast.add({ severity, summary: title, detail: text, life: LIFE[severity] });
}

app.registerExtension({
  name: EVENT,
  setup() {
    api.addEventListener(EVENT, (event) => show(event.detail));
  },
});
