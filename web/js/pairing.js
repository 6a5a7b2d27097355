// Which ControlNet files fit the MODEL and the annotator, on the node ControlNet: they come first in its list, a row says
// of the one that is chosen whether it fits, and opens the list of all with what is against the others.
import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { after, element, isVue, keepWidth, takePlace, zoom } from "./parts.js";

const NODE = "ZeroctlControlNet";
const DEMO_MODEL = "ZeroctlDemoModel";
const NAME = "zeroctl_pairing";
const BEFORE = "zeroctl_settings"; // the rows of the annotator, which this one stands above
const HEIGHT = 26; // pixels
const MARGIN = 10; // that the classic canvas leaves free around an element, inside its widget's height
const LOOK = 300; // milliseconds between looks at what is set: whoever changes it, it is seen
const AGAIN = 3000; // milliseconds, when the server did not answer
const NONE = "none"; // in place of an annotator
const LOADERS = { ckpt_name: "checkpoints", unet_name: "diffusion_models" }; // a loader's widget -> the folder of its files
const NEVER = 2;
const GROUPS = ["Fits", "Fits the MODEL; its name does not say for what", "Trained on something else", "Does not fit"];
const STYLE = `
.zeroctl-pairing { box-sizing: border-box; width: 100%; height: ${HEIGHT}px; padding: 1px 2px; overflow: hidden;
  font: 12px sans-serif; color: var(--input-text, #ddd); }
.zeroctl-pairing .state { position: relative; display: flex; gap: 6px; align-items: center; height: 22px; min-width: 0;
  box-sizing: border-box; padding: 0 6px; border-radius: 4px; background: var(--comfy-input-bg, #222);
  border: 1px solid var(--border-color, #4e4e4e); }
.zeroctl-pairing .state:focus-within { outline: 1px solid #64a8e0; }
.zeroctl-pairing .dot { flex: none; width: 8px; height: 8px; border-radius: 50%; background: #8a8a8a; }
.zeroctl-pairing[data-group="0"] .dot { background: #5cb85c; }
.zeroctl-pairing[data-group="2"] .dot { background: #e0a33c; }
.zeroctl-pairing[data-group="3"] .dot { background: #e05c4b; }
.zeroctl-pairing .text { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.zeroctl-pairing select { position: absolute; inset: 0; width: 100%; height: 100%; opacity: 0; cursor: pointer;
  font: inherit; }
`;

/** @type {WeakMap<object, Pairing>} by node */
const pairings = new WeakMap();

/** @type {Map<string, object>} what the server said, by the source of the MODEL */
const answers = new Map();
const asking = new Set();
let waitUntil = 0;

/** What the server says of the files, with this MODEL; null until it is there. */
function answerFor(source) {
  const body = JSON.stringify(source);
  if (!answers.has(body) && !asking.has(body) && Date.now() >= waitUntil) ask(body);
  return answers.get(body) ?? null;
}

async function ask(body) {
  asking.add(body);
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await api.fetchApi("/zeroctl/pairing", { method: "POST", headers, body });
    if (response.ok) answers.set(body, await response.json());
    else waitUntil = Date.now() + AGAIN;
  } catch {
    waitUntil = Date.now() + AGAIN; // the server is gone: the front end says so
  } finally {
    asking.delete(body);
  }
}

/** The node that has this graph inside. */
function holderOf(graph, from = app.rootGraph ?? app.graph) {
  for (const node of from?.nodes ?? []) {
    const holder = node.subgraph && (node.subgraph === graph ? node : holderOf(graph, node.subgraph));
    if (holder) return holder;
  }
  return null;
}

function linkOf(graph, id) {
  return id == null ? null : (graph?.links?.get?.(id) ?? graph?.links?.[id] ?? null);
}

/** The file that the MODEL of a node comes from, by the wire up to a loader; empty where it cannot be told. */
function sourceOf(node) {
  const unknown = { folder: "", name: "" };
  let graph = node.graph;
  let link = linkOf(graph, node.inputs?.find((input) => input.name === "model")?.link);
  for (let steps = 0; steps < 100 && link; steps++) {
    const origin = graph.getNodeById(link.origin_id);
    if (!origin) {
      // from outside of a subgraph
      const holder = holderOf(graph);
      const input = holder?.inputs?.[link.origin_slot];
      graph = holder?.graph;
      link = linkOf(graph, input?.link);
      continue;
    }
    if (origin.subgraph) {
      graph = origin.subgraph;
      link = linkOf(graph, graph.outputs?.[link.origin_slot]?.linkIds?.[0]);
      continue;
    }
    if (origin.mode === NEVER) return unknown;
    if (origin.comfyClass === DEMO_MODEL) return { folder: "demo", name: "" };
    const loader = origin.widgets?.find((widget) => widget.name in LOADERS);
    if (loader) {
      const isConnected = origin.inputs?.some((input) => input.name === loader.name && input.link != null);
      if (isConnected || typeof loader.value !== "string") return unknown;
      return { folder: LOADERS[loader.name], name: loader.value };
    }
    const isReroute = origin.type === "Reroute";
    const input = isReroute ? origin.inputs[0] : origin.inputs?.find((one) => one.type === "MODEL");
    link = linkOf(graph, input?.link);
  }
  return unknown;
}

class Pairing {
  constructor(node) {
    this.node = node;
    this.choice = node.widgets.find((widget) => widget.name === "annotator");
    this.list = node.widgets.find((widget) => widget.name === "control_net_name");
    this.automatic = this.list.value; // the file that nobody has chosen by hand
    this.byHand = false;
    this.annotator = this.choice.value;
    this.source = "";
    this.answer = null;
    this.state = "";
    this.text = element("div", { className: "text" });
    this.select = element("select", { title: "All files, and what is against them" });
    this.select.setAttribute("aria-label", "control_net_name, by what fits");
    this.root = element("div", { className: "zeroctl-pairing" }, [
      element("style", { textContent: STYLE }),
      element("div", { className: "state" }, [
        element("div", { className: "dot" }),
        this.text,
        element("div", { textContent: "\u25be" }),
        this.select,
      ]),
    ]);
    this.root.dataset.zeroctl = NAME;
    this.root.addEventListener("pointerdown", (event) => event.stopPropagation()); // it would drag the node
    this.root.addEventListener("wheel", zoom, { passive: false });
    this.select.addEventListener("change", () => this.#pick(this.select.value));
    const height = () => HEIGHT + (isVue() ? 0 : 2 * MARGIN);
    this.widget = node.addDOMWidget(NAME, NAME, this.root, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: height,
      getMaxHeight: height,
    });
    this.widget.serialize = false;
    this.root.style.minHeight = `${HEIGHT}px`; // Nodes 2.0 looks at nothing else
    keepWidth(this.widget);
    const rows = node.widgets.findIndex((widget) => widget.name === BEFORE);
    if (rows >= 0) node.widgets.splice(rows, 0, ...node.widgets.splice(node.widgets.indexOf(this.widget), 1));
  }

  /** See whether the MODEL, the annotator, the file or the list has changed, whoever did it. */
  look() {
    const source = sourceOf(this.node);
    const key = JSON.stringify(source);
    const answer = answerFor(source);
    if (answer && (answer !== this.answer || key !== this.source)) {
      const isOtherModel = key !== this.source;
      [this.answer, this.source, this.state] = [answer, key, ""];
      if (isOtherModel && this.automatic === this.list.value) this.#follow();
    }
    this.#show();
  }

  /** Another annotator was chosen: the file goes with it, unless it was chosen by hand. */
  annotatorChosen() {
    const before = this.annotator;
    if (this.choice.value === before) return;
    const isBest = this.answer && !this.byHand && this.#best(before) === this.list.value;
    this.annotator = this.choice.value;
    if (isBest || this.automatic === this.list.value) this.#follow();
    this.#show();
  }

  fileChosen() {
    this.automatic = null;
    this.byHand = true;
    this.#show();
  }

  /** The node was given its values: a workflow was opened, a change undone, a node pasted. */
  configured() {
    this.automatic = null;
    this.annotator = this.choice.value;
    const least = this.node.computeSize()[1]; // a workflow may have been saved before there was this row
    if (this.node.size[1] < least) this.node.setSize([this.node.size[0], least]);
    takePlace(this.node, NAME, this.root);
  }

  #follow() {
    const best = this.answer && this.#best(this.annotator);
    if (!best) return;
    this.list.value = best;
    this.automatic = best;
    this.node.setDirtyCanvas(true, true);
  }

  /** The file that fits best; null where none is known to fit. */
  #best(annotator) {
    const [first] = this.#sorted(annotator);
    return annotator !== NONE && first?.group === 0 ? first.name : null;
  }

  /** All files with their group and what there is to say of them, those that fit first. */
  #sorted(annotator) {
    const { model, files } = this.answer;
    const like = files.find((file) => file.name === this.list.value)?.family; // where the MODEL is not known
    const isOfFamily = (file) => file.fits ?? (!model && file.family === like);
    return files
      .map((file) => ({ ...file, ...this.#verdict(file, annotator, model) }))
      .sort((a, b) => a.group - b.group || isOfFamily(b) - isOfFamily(a) || a.rank - b.rank);
  }

  #verdict({ fault, fits, family, kind, reads, annotators }, annotator, model) {
    const isMade = annotator === NONE; // the picture is a condition already, of whatever kind
    const rank = isMade ? 0 : (annotators[annotator] ?? Infinity);
    const what = [reads, family, kind].filter(Boolean).join(", ");
    if (fault) return { group: 3, rank, text: fault, says: `this net cannot be loaded: ${fault}` };
    if (fits === false)
      return { group: 3, rank, text: `${what}; the MODEL is ${model}`, says: `${family} ${kind || "net"}, but the MODEL is ${model}` };
    if (rank < Infinity) return { group: 0, rank, text: what, says: `this net fits: ${what}` };
    if (reads)
      return {
        group: 2,
        rank,
        text: `${what}; the annotator is ${annotator}`,
        says: `trained on ${reads}, but the annotator is ${annotator}`,
      };
    const text = what || "its family shows when it is loaded";
    return { group: 1, rank, text, says: `${text}; its name does not say what for` };
  }

  #show() {
    if (!this.answer) return;
    const values = this.list.options.values;
    const listed = Array.isArray(values) ? values.map(String) : [];
    const state = JSON.stringify([this.annotator, this.list.value, listed]);
    if (state === this.state) return;
    const sorted = this.#sorted(this.annotator);
    const order = new Map(sorted.map(({ name }, index) => [name, index]));
    const place = (name) => order.get(name) ?? Infinity;
    const names = [...listed].sort((a, b) => place(a) - place(b) || 0);
    // an array of its own: the nodes of a type are given the same one
    if (names.join("\n") !== listed.join("\n")) this.list.options.values = names;
    this.#fill(sorted);
    this.state = JSON.stringify([this.annotator, this.list.value, names]);
  }

  #fill(sorted) {
    const groups = GROUPS.map((label, group) => {
      const options = sorted
        .filter((file) => file.group === group)
        .map(({ name, text }) => element("option", { value: name, textContent: text ? `${name}: ${text}` : name }));
      return options.length ? element("optgroup", { label }, options) : "";
    });
    this.select.replaceChildren(...groups);
    this.select.value = this.list.value;
    const file = sorted.find(({ name }) => name === this.list.value);
    const text = file?.says ?? "this net is not in the list";
    this.root.dataset.group = file?.group ?? 3;
    this.text.textContent = text;
    this.text.title = text;
  }

  #pick(name) {
    if (this.node.graph?.getNodeById(this.node.id) !== this.node) return; // an undo has replaced the node
    app.canvas.emitBeforeChange(); // one step of undo
    this.list.value = name;
    this.list.callback?.(name, app.canvas, this.node);
    app.canvas.emitAfterChange();
    this.node.setDirtyCanvas(true, true); // the classic canvas draws the list
    this.select.blur(); // Ctrl+Z with the focus in a field is the field's own
  }
}

app.registerExtension({
  name: "zeroctl.pairing",
  refreshComboInNodes() {
    answers.clear(); // files may have come or gone
  },
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const pairing = new Pairing(node);
    pairings.set(node, pairing);
    const [width, height] = node.computeSize();
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
    after(pairing.choice, "callback", () => pairing.annotatorChosen());
    after(pairing.list, "callback", () => pairing.fileChosen());
    after(node, "onConfigure", () => pairing.configured());
  },
  setup() {
    setInterval(() => {
      if (document.hidden) return;
      for (const node of app.canvas?.graph?.nodes ?? []) if (!node.flags?.collapsed) pairings.get(node)?.look();
    }, LOOK);
  },
});
