// The condition on its node while a setting is being changed, and then what a run made of it: one picture, at one place.
// On the node ControlNet and on every annotator that draws from the picture alone.
import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { annotatorsOf, live } from "./annotator_settings.js";
import { after, element, keepWidth, takePlace, zoom } from "./parts.js";

const NAME = "zeroctl_preview";
const NODE = "ZeroctlControlNet";
const OF_A_FILE = "LoadImage"; // of the host: its picture is a file, which the server can read before any run
const HEIGHT = 220; // pixels, with what the classic canvas leaves free
const MARGIN = 10;
const LOOK = 40; // milliseconds between looks at what is set: whoever changes it, it is seen
const RETRY = 300; // milliseconds, when the server has too much to do
const BYPASSED = 4;
const STYLE = `
.zeroctl-preview { position: relative; box-sizing: border-box; width: 100%; height: 100%; overflow: hidden;
  display: flex; align-items: center; justify-content: center; border-radius: 4px;
  background: var(--comfy-input-bg, #222); font: 12px/16px sans-serif; color: var(--descrip-text, #aaa); }
.zeroctl-preview img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.zeroctl-preview .say { padding: 0 16px; text-align: center; overflow-wrap: anywhere; }
.zeroctl-preview .tag { position: absolute; right: 4px; bottom: 4px; padding: 0 5px; border-radius: 3px;
  background: #000a; color: #ddd; }
.zeroctl-preview [hidden] { display: none; }
`;

/** @type {WeakMap<object, Preview>} by node */
const previews = new WeakMap();

/** The id of a node in a run: `5`, or `5:1` inside a subgraph. */
function idOf(node, graph = app.rootGraph ?? app.graph, before = "") {
  for (const one of graph?.nodes ?? []) {
    if (one === node) return `${before}${one.id}`;
    const found = one.subgraph && idOf(node, one.subgraph, `${before}${one.id}:`);
    if (found) return found;
  }
  return "";
}

class Preview {
  constructor(node, annotators) {
    this.node = node;
    this.annotators = annotators;
    this.shown = ""; // the wish that is answered on show
    this.asking = false;
    this.later = 0; // when to ask again at the soonest
    this.address = ""; // of the picture of a request
    this.images = []; // of a run
    this.kept = undefined; // those that were looked at last
    this.index = 0;
    this.picture = element("img", { alt: "condition", hidden: true, draggable: false });
    this.say = element("div", { className: "say" });
    this.tag = element("div", { className: "tag", hidden: true });
    this.root = element("div", { className: "zeroctl-preview" }, [
      element("style", { textContent: STYLE }),
      this.say,
      this.picture,
      this.tag,
    ]);
    this.root.dataset.zeroctl = NAME;
    this.picture.addEventListener("click", () => this.#next());
    this.picture.addEventListener("error", () => this.#lost());
    this.root.addEventListener("wheel", zoom, { passive: false });
    this.widget = node.addDOMWidget(NAME, NAME, this.root, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => HEIGHT,
    });
    this.widget.serialize = false;
    this.root.style.minHeight = `${HEIGHT - 2 * MARGIN}px`; // Nodes 2.0 looks at nothing else
    keepWidth(this.widget);
    // the front end's own picture of a run would be a second one
    node.hideOutputImages = true;
    node.onDrawBackground = () => {};
  }

  /** Ask for a picture if something was changed since the last; one request at a time, so that the newest wins. */
  look() {
    this.#lookForRun();
    if (this.asking || Date.now() < this.later) return;
    const wish = this.#wish();
    if (wish === this.shown) return;
    if (typeof wish !== "string") return;
    this.#ask(wish);
  }

  /** A run has made the condition. */
  executed(images) {
    if (!images?.length) return;
    this.images = images;
    this.index = 0;
    this.shown = this.#wish();
    this.#showOfRun();
  }

  /** The node was given its values: a workflow was opened or its tab, a change undone. */
  configured() {
    this.kept = undefined;
    const least = this.node.computeSize()[1]; // a workflow may have been saved before there was a picture
    if (this.node.size[1] < least) this.node.setSize([this.node.size[0], least]);
    this.#lookForRun();
    takePlace(this.node, NAME, this.root);
  }

  /** What a run has shown; when a tab is opened again it comes after the values of its nodes. */
  #lookForRun() {
    const outputs = app.nodeOutputs ?? {};
    const images = (outputs[`${this.node.graph?.id}:${this.node.id}`] ?? outputs[this.node.id])?.images;
    if (images === this.kept) return;
    this.kept = images;
    this.executed(images);
  }

  removed() {
    URL.revokeObjectURL(this.address);
  }

  #wish() {
    const { annotator, settings, picture } = this.#set();
    const origin = this.#origin(picture);
    if (!origin) return JSON.stringify({});
    const isFile = origin.comfyClass === OF_A_FILE && origin.mode === 0;
    const file = isFile ? String(origin.widgets?.find((widget) => widget.name === "image")?.value ?? "") : "";
    return JSON.stringify({ node_id: idOf(this.node), annotator, settings, file });
  }

  #set() {
    const value = (name) => this.node.widgets.find((widget) => widget.name === name)?.value;
    if (this.node.comfyClass === NODE) {
      const pulled = live.get(this.node);
      const settings = pulled ? JSON.stringify(pulled) : (value("settings") ?? "");
      return { annotator: value("annotator"), settings, picture: "image" };
    }
    const [annotator, entry] = Object.entries(this.annotators).find(([, one]) => one.node === this.node.comfyClass);
    const settings = {};
    for (const widget of this.node.widgets)
      if (widget.serialize !== false && widget.name !== "control_after_generate") settings[widget.name] = widget.value;
    return { annotator, settings: JSON.stringify(settings), picture: entry.picture };
  }

  /** The node that the picture comes from, past those that only hand it on; null where nothing is connected. */
  #origin(name) {
    let node = this.node;
    let slot = node.inputs?.findIndex((input) => input.name === name) ?? -1;
    for (let steps = 0; steps < 50 && slot >= 0; steps++) {
      const id = node.inputs[slot]?.link;
      const link = id == null ? null : (node.graph?.links?.get?.(id) ?? node.graph?.links?.[id]);
      if (!link) return null;
      const origin = node.graph.getNodeById(link.origin_id);
      if (!origin) return {}; // from outside of a subgraph
      const handsOn = origin.type === "Reroute" || origin.mode === BYPASSED;
      if (!handsOn) return origin;
      node = origin;
      slot = origin.type === "Reroute" ? 0 : origin.inputs.findIndex((input) => input.type === "IMAGE");
    }
    return null;
  }

  async #ask(wish) {
    if (wish === "{}") {
      this.shown = wish;
      return this.#showText("Connect a picture.");
    }
    this.asking = true;
    try {
      const response = await api.fetchApi("/zeroctl/preview", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: wish,
      });
      if (response.status === 503) {
        this.later = Date.now() + RETRY;
        return;
      }
      this.shown = wish;
      const isPicture = response.headers.get("Content-Type") === "image/jpeg";
      if (isPicture) this.#showPreview(await response.blob());
      else this.#showText((await response.json()).message);
    } catch {
      this.later = Date.now() + 10 * RETRY; // the server is gone: the front end says so
    } finally {
      this.asking = false;
    }
  }

  #showPreview(blob) {
    const before = this.address;
    this.address = URL.createObjectURL(blob);
    this.images = [];
    this.#show(this.address, "preview");
    if (before) URL.revokeObjectURL(before);
  }

  #showOfRun() {
    const { filename, subfolder = "", type = "temp" } = this.images[this.index];
    const query = new URLSearchParams({ filename, subfolder, type });
    const count = this.images.length > 1 ? `${this.index + 1} of ${this.images.length}` : "";
    this.#show(api.apiURL(`/view?${query}`), count);
  }

  #show(address, tag) {
    this.picture.src = address;
    this.picture.hidden = false;
    this.picture.style.cursor = this.images.length > 1 ? "pointer" : "";
    this.say.textContent = "";
    this.tag.textContent = tag;
    this.tag.hidden = !tag;
  }

  #showText(text) {
    this.images = [];
    this.picture.hidden = true;
    this.picture.removeAttribute("src");
    this.tag.hidden = true;
    this.say.textContent = text;
  }

  #next() {
    if (this.images.length < 2) return;
    this.index = (this.index + 1) % this.images.length;
    this.#showOfRun();
  }

  /** The file of a run is gone, as after a restart of the server. */
  #lost() {
    if (!this.images.length) return;
    this.images = [];
    this.shown = "";
  }
}

app.registerExtension({
  name: "zeroctl.live_preview",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Zeroctl")) return;
    const annotators = annotatorsOf();
    const isAnnotator = Object.values(annotators).some((one) => one.preview && one.node === node.comfyClass);
    if (node.comfyClass !== NODE && !isAnnotator) return;
    const preview = new Preview(node, annotators);
    previews.set(node, preview);
    const [width, height] = node.computeSize();
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
    after(node, "onConfigure", () => preview.configured());
    after(node, "onExecuted", (output) => preview.executed(output?.images));
    after(node, "onRemoved", () => preview.removed());
  },
  setup() {
    setInterval(() => {
      if (document.hidden) return;
      for (const node of app.canvas?.graph?.nodes ?? []) if (!node.flags?.collapsed) previews.get(node)?.look();
    }, LOOK);
  },
});
