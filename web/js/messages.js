// What a node of ours has to say stands on the node: why it failed or was refused, what a run noticed, and the report
// of its controls, folded to the line that matters. What somebody has to know is a toast as well, after that.
import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { after, element, isVue, keepWidth, takePlace, zoom } from "./parts.js";

const NAME = "zeroctl_message";
const PICTURE = "zeroctl_preview";
const PICTURE_OF_RUN = "$$canvas-image-preview"; // the front end's own
const LIFE = { info: 6000, warn: 20000, error: 60000 }; // milliseconds: a run may end while nobody looks
const MARGIN = 10; // that the classic canvas leaves free around an element, inside its widget's height
const MOST = 320; // pixels, then it scrolls
const LOOK = 200; // milliseconds between looks at what no event tells of
const STYLE = `
.zeroctl-message { box-sizing: border-box; width: 100%; overflow: auto; font: 12px/16px sans-serif; text-align: left;
  color: var(--input-text, #ddd); }
.zeroctl-message > div { display: flex; flex-direction: column; gap: 3px; }
.zeroctl-message .text { padding: 3px 6px; border-radius: 4px; white-space: pre-wrap;
  overflow-wrap: anywhere; user-select: text; background: var(--comfy-input-bg, #222); }
.zeroctl-message .error { border-left: 3px solid #e05252; }
.zeroctl-message .warn { border-left: 3px solid #d9a13b; }
.zeroctl-message .info { border-left: 3px solid #64a8e0; }
.zeroctl-message summary { padding: 3px 6px; white-space: pre-wrap; overflow-wrap: anywhere; cursor: pointer; }
.zeroctl-message details .text { max-height: 180px; overflow: auto; }
`;

/** @type {WeakMap<object, Message>} by node */
const messages = new WeakMap();
let refusals = null; // what was looked at last

/** What the browser keeps of what a node shows, which also a change of the workflow's tab leaves alone. */
function kept(node) {
  const outputs = app.nodeOutputs ?? {};
  const inSubgraph = `${node.graph?.id}:${node.id}`;
  return outputs[inSubgraph] ?? outputs[node.id] ?? ofExpansion(outputs, node.id);
}

/** Front end 1.27.10 keeps what the nodes of an expansion gave under their own ids, `5.0.0.apply`, when the tab is left. */
function ofExpansion(outputs, id) {
  const inner = Object.keys(outputs).filter((key) => key.startsWith(`${id}.`));
  if (!inner.length) return undefined;
  return (outputs[id] = Object.assign({}, ...inner.map((key) => outputs[key])));
}

function keep(node, values) {
  const isInRoot = node.graph === (app.rootGraph ?? app.graph);
  const key = isInRoot ? String(node.id) : `${node.graph?.id}:${node.id}`;
  app.nodeOutputs[key] = { ...kept(node), ...values };
}

/** The node of the canvas with this id of a run: `5`, or `5:1` inside a subgraph. */
function nodeOf(id) {
  let graph = app.rootGraph ?? app.graph;
  let node = null;
  for (const part of String(id ?? "").split(":")) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part)) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

/** Call `then` for every node of ours, in subgraphs too. */
function forEachOfOurs(then, graph = app.rootGraph ?? app.graph) {
  for (const node of graph?.nodes ?? []) {
    if (messages.has(node)) then(messages.get(node));
    if (node.subgraph) forEachOfOurs(then, node.subgraph);
  }
}

function toast(severity, summary, detail) {
  app.extensionManager.toast.add({ severity, summary, detail, life: LIFE[severity] });
}

class Message {
  constructor(node) {
    this.node = node;
    this.notices = []; // of this run, the latest last: {text, severity, ofRun}
    this.error = "";
    this.isOld = false; // what is noticed was noticed in an earlier run
    this.widget = null;
    this.grown = 0; // by how much the node was made higher
    this.height = 0;
    this.isUnfolded = false;
    this.seen = undefined; // what the browser kept when it was last shown
  }

  fail(text) {
    this.error = text;
    this.#store();
  }

  notice(text, severity, ofRun) {
    if (this.isOld && !ofRun) this.#forgetOwn();
    if (!this.notices.some((one) => one.text === text)) this.notices.push({ text, severity, ofRun });
    this.#store();
  }

  /** A sampler begins with the controls of this node. */
  begin() {
    this.notices = this.notices.filter((one) => !one.ofRun);
    this.#store();
  }

  /** A graph was queued: what failed before may go well. */
  queued() {
    this.isOld = true;
    if (this.error) this.fail("");
  }

  /** The node is being run: what it noticed itself is of an earlier run. */
  running() {
    if (this.isOld) this.#forgetOwn();
  }

  /** The front end has replaced what the node shows. */
  executed() {
    this.#store();
  }

  /** When a tab is opened again, what was kept comes after the values of its nodes, and no event tells of it. */
  look() {
    if (kept(this.node) !== this.seen) this.configured();
  }

  /** The node was given its values: a workflow was opened or its tab, a change undone. */
  configured() {
    const { zeroctl_notices, zeroctl_error } = kept(this.node) ?? {};
    this.notices = [...(zeroctl_notices ?? [])];
    this.error = zeroctl_error?.[0] ?? "";
    this.#show();
    if (this.widget) takePlace(this.node, NAME, this.root);
  }

  #forgetOwn() {
    this.isOld = false;
    this.notices = this.notices.filter((one) => one.ofRun);
    this.#store();
  }

  #store() {
    const before = kept(this.node) ?? {};
    if (this.notices.length || this.error || before.zeroctl_notices || before.zeroctl_error)
      keep(this.node, { zeroctl_notices: this.notices, zeroctl_error: this.error ? [this.error] : [] });
    this.#show();
  }

  #show() {
    this.seen = kept(this.node);
    const { zeroctl_line, zeroctl_report } = this.seen ?? {};
    const parts = [];
    if (this.error) parts.push(element("div", { className: "text error", role: "alert", textContent: this.error }));
    for (const { text, severity } of this.notices)
      parts.push(element("div", { className: `text ${severity}`, role: "status", textContent: text }));
    if (zeroctl_line?.[0]) parts.push(this.#report(zeroctl_line[0], zeroctl_report?.[0] ?? ""));
    if (!parts.length) return this.#remove();
    if (!this.widget) this.#add();
    this.content.replaceChildren(...parts);
    this.#measure();
  }

  #report(line, text) {
    const details = element("details", { open: this.isUnfolded }, [
      element("summary", { textContent: line }),
      element("div", { className: "text", textContent: text }),
    ]);
    details.addEventListener("toggle", () => {
      this.isUnfolded = details.open;
      this.#measure();
    });
    return details;
  }

  #add() {
    this.content = element("div");
    this.root = element("div", { className: "zeroctl-message" }, [element("style", { textContent: STYLE }), this.content]);
    this.root.dataset.zeroctl = NAME;
    this.root.addEventListener("pointerdown", (event) => event.stopPropagation()); // it would drag the node
    this.root.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.observer = new ResizeObserver(() => this.#measure());
    this.observer.observe(this.content);
    this.widget = this.node.addDOMWidget(NAME, NAME, this.root, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => this.#heightOfWidget(),
      getMaxHeight: () => this.#heightOfWidget(),
    });
    this.widget.serialize = false;
    this.#putAbovePicture();
    keepWidth(this.widget);
  }

  #putAbovePicture() {
    const { widgets } = this.node;
    const picture = widgets.findIndex((widget) => [PICTURE, PICTURE_OF_RUN].includes(widget.name));
    if (picture < 0) return;
    widgets.splice(widgets.indexOf(this.widget), 1);
    widgets.splice(picture, 0, this.widget);
  }

  #remove() {
    if (!this.widget) return;
    this.observer.disconnect();
    this.node.removeWidget(this.widget);
    this.widget = null;
    this.height = 0;
    this.#resize(-this.grown);
    this.grown = 0;
  }

  #measure() {
    if (!this.widget) return;
    // 0 while the node is out of sight: then by the letters, until it is seen
    const natural = this.content.offsetHeight || this.#guess();
    const height = Math.min(natural, MOST);
    if (height === this.height) return;
    this.height = height;
    this.root.style.minHeight = `${height}px`; // Nodes 2.0 looks at nothing else
    this.root.style.maxHeight = `${MOST}px`;
    if (isVue()) return; // a node is as high there as what is in it
    const missing = Math.max(this.node.computeSize()[1] - this.node.size[1], -this.grown);
    this.#resize(missing);
    this.grown += missing;
  }

  #resize(by) {
    if (by && !isVue()) this.node.setSize([this.node.size[0], this.node.size[1] + by]);
    this.node.setDirtyCanvas(true, true);
  }

  #guess() {
    const letters = Math.max(20, (this.node.size[0] - 40) / 6);
    const lines = (text) => text.split("\n").reduce((sum, line) => sum + Math.ceil((line.length || 1) / letters), 0);
    return [...this.content.children].reduce((sum, part) => sum + 16 * lines(part.firstChild?.textContent ?? "") + 9, 0);
  }

  #heightOfWidget() {
    return this.height + (isVue() ? 0 : 2 * MARGIN);
  }

  #wheel(event) {
    if (isVue()) return;
    const scrolls = [this.root, event.target.closest(".text")].some((one) => one && one.scrollHeight > one.clientHeight + 1);
    if (scrolls) return event.stopPropagation();
    zoom(event);
  }
}

/** On the node first: a toast may lie over the front end's own error. */
function fail(id, text) {
  const node = nodeOf(id);
  const message = node && messages.get(node);
  if (!message || !text) return;
  message.fail(text);
  toast("error", node.title, text);
}

function inWords({ message, details, extra_info }) {
  if (!details || message.includes(details)) return message;
  return details === extra_info?.input_name ? `${details}: ${message}` : `${message}: ${details}`;
}

/** What the server has refused before it ran anything. */
function lookAtRefusals() {
  const errors = app.lastNodeErrors;
  if (errors === refusals) return;
  refusals = errors;
  for (const [id, { errors: ofNode }] of Object.entries(errors ?? {})) fail(id, (ofNode ?? []).map(inWords).join("\n"));
}

app.registerExtension({
  name: "zeroctl.messages",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Zeroctl")) return;
    const message = new Message(node);
    messages.set(node, message);
    after(node, "onConfigure", () => message.configured());
    after(node, "onExecuted", () => message.executed());
  },
  setup() {
    api.addEventListener("zeroctl.notice", ({ detail: { title, text, severity, node, of_run } }) => {
      console[severity](`[zeroctl] ${title}: ${text}`);
      messages.get(node ? nodeOf(node) : null)?.notice(text, severity, of_run);
      toast(severity, title, text);
    });
    api.addEventListener("zeroctl.run", ({ detail: { nodes } }) => {
      for (const id of nodes) messages.get(nodeOf(id))?.begin();
    });
    api.addEventListener("execution_start", () => forEachOfOurs((message) => message.queued()));
    api.addEventListener("executing", ({ detail }) => {
      const node = detail == null ? null : nodeOf(detail);
      if (node) messages.get(node)?.running();
    });
    api.addEventListener("execution_error", ({ detail }) => fail(detail.node_id, detail.exception_message?.trim()));
    setInterval(() => {
      lookAtRefusals();
      for (const node of app.canvas?.graph?.nodes ?? []) messages.get(node)?.look();
    }, LOOK);
  },
});
