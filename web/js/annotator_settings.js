// The settings of the annotator that is chosen on the node ControlNet, one row each. They are kept as JSON in the
// widget `settings`, which is hidden here: by the API, and without this file, it is a text.
import { app } from "../../../scripts/app.js";
import { after, element, isVue, keepWidth, takePlace, zoom } from "./parts.js";

const NODE = "ZeroctlControlNet";
const PANEL = "zeroctl_settings";
const WIDTH = 400;
const ROW = 26; // pixels, the gap below it included
const PADDING = 6;
const MARGIN = 10; // that the classic canvas leaves free around an element, inside its widget's height
const MOST_STEPS = 1000; // of a slider: beyond that a pixel skips values, and a number is written
const TYPES = ["INT", "FLOAT", "BOOLEAN", "STRING", "COMBO"];
const STYLE = `
.zeroctl-settings { box-sizing: border-box; width: 100%; padding: ${PADDING / 2}px 2px; font: 12px sans-serif;
  color: var(--input-text, #ddd); overflow: hidden; }
.zeroctl-settings .row { display: grid; grid-template-columns: 34% 1fr 72px; gap: 6px; align-items: center;
  height: ${ROW - 2}px; margin-bottom: 2px; }
.zeroctl-settings .row > :nth-child(2):last-child { grid-column: 2 / 4; }
.zeroctl-settings .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  color: var(--descrip-text, #aaa); }
.zeroctl-settings input, .zeroctl-settings select { box-sizing: border-box; min-width: 0; width: 100%; height: 22px;
  margin: 0; padding: 0 4px; font: inherit; color: var(--input-text, #ddd); border-radius: 4px;
  background: var(--comfy-input-bg, #222); border: 1px solid var(--border-color, #4e4e4e); }
.zeroctl-settings input[type=range] { padding: 0; border: 0; background: none; accent-color: #64a8e0; }
.zeroctl-settings input[type=checkbox] { justify-self: start; width: 16px; height: 16px; accent-color: #64a8e0; }
.zeroctl-settings .download { display: flex; gap: 6px; align-items: center; min-width: 0; }
.zeroctl-settings .download input { flex: none; }
.zeroctl-settings .absent { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: #e0a33c; }
.zeroctl-settings :disabled { opacity: .5; }
.zeroctl-settings button { height: 22px; font: inherit; color: var(--input-text, #ddd); cursor: pointer;
  background: var(--comfy-input-bg, #222); border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px; }
.zeroctl-settings .fault { color: var(--error-text, #ff6b6b); overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
`;

/** @type {Map<string, object>} inputs of our nodes as /object_info describes them, by node id */
const described = new Map();

/** @type {WeakMap<object, object>} node -> its settings as they are while a slider is being pulled */
export const live = new WeakMap();

/** Of each annotator, by name: its node's id, its picture's input, and the settings that ControlNet has no use for. */
export function annotatorsOf() {
  return described.get(NODE)?.required?.settings?.[1]?.zeroctl_annotators ?? {};
}

/** The inputs of a node of ours, by name: their type and options. */
export function inputsOf(id) {
  const { required = {}, optional = {} } = described.get(id) ?? {};
  return { ...required, ...optional };
}

/** The files, with their sizes, that a node needs with these values and that are not on disk; empty where all are. */
export function absentOf(id, values = {}) {
  return Object.entries(inputsOf(id))
    .map(([name, [type, options = {}]]) => {
      const absent = options.zeroctl_absent ?? {};
      return absent[values[name] ?? defaultOf({ type, options })] ?? absent[""];
    })
    .filter(Boolean)
    .join("; ");
}

/** @returns {{name: string, type: string, options: object}[]} the settings of an annotator, in the order of its node */
function settingsOf(entry) {
  return Object.entries(inputsOf(entry?.node))
    .map(([name, [type, options]]) => ({ name, type, options: options ?? {} }))
    .filter(({ name, type }) => TYPES.includes(type) && !entry?.unused.includes(name));
}

function defaultOf({ type, options }) {
  return options.default ?? (type === "COMBO" ? options.options[0] : "");
}

class Panel {
  /** @param node the node ControlNet @param annotators per name: its node's id, the settings that it has no use for */
  constructor(node, annotators) {
    this.node = node;
    this.annotators = annotators;
    this.choice = node.widgets.find((widget) => widget.name === "annotator");
    this.carrier = node.widgets.find((widget) => widget.name === "settings");
    this.before = new Map(); // the settings of annotators that were chosen before, while the page is open
    this.chosen = this.choice.value;
    this.height = 0;
    this.byPointer = false;
    this.rows = element("div");
    this.root = element("div", { className: "zeroctl-settings" }, [element("style", { textContent: STYLE }), this.rows]);
    this.root.dataset.zeroctl = PANEL;
    this.root.addEventListener("pointerdown", (event) => {
      this.byPointer = true;
      event.stopPropagation(); // it would drag the node
    });
    this.root.addEventListener("keydown", () => (this.byPointer = false));
    this.root.addEventListener("wheel", zoom, { passive: false });
    this.widget = node.addDOMWidget(PANEL, PANEL, this.root, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => this.#heightOfWidget(),
      getMaxHeight: () => this.#heightOfWidget(),
    });
    this.widget.serialize = false;
    keepWidth(this.widget);
  }

  /** Show what the carrier holds, for the annotator that is chosen. */
  show() {
    const { values, fault } = this.#read();
    const entry = this.annotators[this.choice.value];
    const settings = settingsOf(entry);
    const rows = settings.map((setting) => this.#row(setting, values[setting.name] ?? defaultOf(setting), entry));
    rows.push(...this.#strangers(this.choice.value).map((name) => this.#stranger(name)));
    if (fault) rows.push(element("div", { className: "row fault", textContent: fault, title: fault }));
    this.rows.replaceChildren(...rows);
    const before = this.#heightOfWidget();
    this.height = rows.length ? rows.length * ROW + PADDING : 0;
    const grown = this.#heightOfWidget() - before;
    this.root.style.minHeight = `${this.height}px`; // Nodes 2.0 looks at nothing else
    this.root.style.display = this.height ? "" : "none";
    if (grown) {
      const [width, least] = this.node.computeSize();
      this.node.setSize([Math.max(this.node.size[0], width), Math.max(this.node.size[1] + grown, least)]);
    }
    this.node.setDirtyCanvas(true, true);
  }

  /**
   * Another annotator was chosen: its settings are those that it had, or its defaults. A workflow in the API form may
   * have filled in the settings first; those stay.
   */
  choose() {
    if (this.choice.value === this.chosen) return;
    const isForThisOne = this.#strangers(this.chosen).length > 0 && this.#strangers(this.choice.value).length === 0;
    if (!isForThisOne) {
      this.before.set(this.chosen, this.carrier.value);
      this.carrier.value = this.before.get(this.choice.value) ?? "{}";
    }
    this.chosen = this.choice.value;
    this.show();
  }

  /** The node was given its values: a workflow was opened, a change undone, a node pasted. */
  configured() {
    this.chosen = this.choice.value;
    this.show();
    takePlace(this.node, PANEL, this.root);
  }

  #heightOfWidget() {
    const isClassic = !isVue();
    return this.height + (this.height && isClassic ? 2 * MARGIN : 0);
  }

  #read() {
    try {
      const values = JSON.parse(this.carrier.value?.trim() || "{}");
      if (values && typeof values === "object" && !Array.isArray(values)) return { values, fault: "" };
    } catch {} // the same fault, whatever the parser says of it
    return { values: {}, fault: "the settings of this workflow are not a JSON object; a change here replaces them" };
  }

  /** Names among the settings that an annotator does not have. */
  #strangers(annotator) {
    const names = settingsOf(this.annotators[annotator]).map(({ name }) => name);
    return Object.keys(this.#read().values).filter((name) => !names.includes(name));
  }

  #write(change) {
    // an element that leaves the page may still tell of a change: its node has been replaced by an undo
    if (this.node.graph?.getNodeById(this.node.id) !== this.node) return;
    const { values } = this.#read();
    change(values);
    const text = JSON.stringify(values);
    if (text === this.carrier.value) return;
    app.canvas.emitBeforeChange(); // one step of undo
    this.carrier.value = text;
    app.canvas.emitAfterChange();
  }

  #commit(setting, value) {
    this.#write((values) => {
      if (value === defaultOf(setting)) delete values[setting.name];
      else values[setting.name] = value;
    });
  }

  #row(setting, value, entry) {
    const { name, type, options } = setting;
    const isOfLatent = name === "resolution" && entry.resizable && this.#isConnected("latent");
    const title = isOfLatent ? "That of the latent, which is connected." : (options.tooltip ?? "");
    const controls = isOfLatent
      ? [element("input", { value: "of the latent", disabled: true })]
      : type === "BOOLEAN"
        ? [this.#checkbox(setting, value)]
        : type === "COMBO"
          ? [this.#select(setting, value)]
          : type === "STRING"
            ? [this.#text(setting, value)]
            : this.#number(setting, value);
    for (const control of controls) control.setAttribute("aria-label", name);
    const label = element("div", { className: "name", textContent: name });
    const parts = name === "download" ? [this.#withAbsent(controls)] : controls;
    const row = element("div", { className: "row", title }, [label, ...parts]);
    row.dataset.setting = name;
    return row;
  }

  /** What is missing beside the switch that fetches it. */
  #withAbsent(controls) {
    this.absent = element("span", { className: "absent" });
    this.#sayAbsent();
    return element("div", { className: "download" }, [...controls, this.absent]);
  }

  #sayAbsent() {
    if (!this.absent) return;
    const text = absentOf(this.annotators[this.choice.value]?.node, this.#read().values);
    this.absent.textContent = this.absent.title = text && `${text}, not here`;
  }

  #checkbox(setting, value) {
    const box = element("input", { type: "checkbox", checked: value === true });
    box.addEventListener("change", () => this.#done(box, setting, box.checked));
    return box;
  }

  #select(setting, value) {
    const names = setting.options.options;
    const choices = names.includes(value) ? names : [...names, value]; // a file that is gone is still what is set
    const list = element("select", {}, choices.map((text) => element("option", { value: text, textContent: text })));
    list.value = value;
    list.addEventListener("change", () => this.#done(list, setting, list.value));
    return list;
  }

  #text(setting, value) {
    const line = element("input", { type: "text", value });
    line.addEventListener("change", () => this.#done(line, setting, line.value));
    return line;
  }

  #number(setting, value) {
    const { min, max, step } = setting.options;
    const isWhole = setting.type === "INT";
    const limits = { min, max, step: isWhole ? (step ?? 1) : step };
    const field = element("input", { type: "number", ...limits, step: isWhole ? 1 : "any", value });
    const slider = (max - min) / limits.step <= MOST_STEPS ? element("input", { type: "range", ...limits, value }) : null;
    const fits = (number) => Math.min(max, Math.max(min, isWhole ? Math.round(number) : number));
    const commit = (control) => {
      const number = control.value === "" ? defaultOf(setting) : fits(Number(control.value));
      field.value = number;
      if (slider) slider.value = number;
      live.delete(this.node);
      this.#done(control, setting, number);
    };
    field.addEventListener("change", () => commit(field));
    slider?.addEventListener("input", () => {
      field.value = slider.value;
      live.set(this.node, { ...this.#read().values, [setting.name]: fits(Number(slider.value)) });
    });
    slider?.addEventListener("change", () => commit(slider));
    // before the front end looks for changes, which it does when the mouse button goes up
    slider?.addEventListener("pointerup", () => commit(slider));
    return slider ? [slider, field] : [field];
  }

  #done(control, setting, value) {
    this.#commit(setting, value);
    this.#sayAbsent();
    if (control.type === "number" || control.type === "text") {
      // a new field: the browser's own Ctrl+Z would take the typing back in the old one, beside the graph's
      const hasFocus = document.activeElement === control && !this.byPointer;
      const row = this.#row(setting, value, this.annotators[this.choice.value]);
      control.closest(".row").replaceWith(row);
      if (hasFocus) row.querySelector(`[type=${control.type}]`).focus();
    } else if (this.byPointer) control.blur(); // Ctrl+Z with the focus in a field is the field's own
  }

  /** A setting that the annotator does not have, as the server says when it runs. */
  #stranger(name) {
    const text = `${name}: not a setting of ${this.choice.value}`;
    const remove = element("button", { type: "button", textContent: "Remove" });
    remove.addEventListener("click", () => {
      this.#write((values) => delete values[name]);
      this.show();
    });
    const fault = element("div", { className: "fault", textContent: text, title: text });
    return element("div", { className: "row" }, [element("div"), fault, remove]);
  }

  #isConnected(name) {
    return this.node.inputs.some((input) => input.name === name && input.link != null);
  }
}

app.registerExtension({
  name: "zeroctl.annotator_settings",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name.startsWith("Zeroctl")) described.set(nodeData.name, nodeData.input);
  },
  refreshComboInNodes(definitions) {
    for (const id of described.keys()) if (definitions[id]) described.set(id, definitions[id].input);
  },
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const carrier = node.widgets.find((widget) => widget.name === "settings");
    if (!carrier) return;
    carrier.hidden = true;
    carrier.options.hidden = true;
    carrier.computeSize = () => [0, -4];
    const panel = new Panel(node, annotatorsOf());
    panel.show();
    node.setSize([Math.max(node.size[0], WIDTH), node.computeSize()[1]]);
    after(panel.choice, "callback", () => panel.choose());
    after(carrier, "callback", () => panel.show()); // who else changes it: a workflow in the API form
    after(node, "onConfigure", () => panel.configured());
    after(node, "onConnectionsChange", () => panel.show());
  },
});
