// What several of the scripts beside this one are built of. It registers nothing, and importing it does nothing.
import { app } from "../../../scripts/app.js";

export function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Call `then` after a method of this one object. */
export function after(object, method, then) {
  const original = object[method];
  object[method] = function (...args) {
    const result = original?.apply(this, args);
    then(...args);
    return result;
  };
}

export function isVue() {
  return Boolean(globalThis.LiteGraph?.vueNodesMode);
}

/** The mouse wheel over an element zooms the classic canvas, as beside it; Nodes 2.0 does that by itself. */
export function zoom(event) {
  if (isVue()) return;
  event.preventDefault();
  app.canvas.processMouseWheel(event);
}

/** The side panel writes its own width into a widget, which would then grow over the node's edge. */
export function keepWidth(widget) {
  Object.defineProperty(widget, "width", { get: () => undefined, set: () => {} });
}

/** A tick later, as front ends from 1.53 on keep the element of the node that an undo has replaced. */
export function takePlace(node, name, root) {
  setTimeout(() => {
    if (root.isConnected) return;
    document.querySelector(`[data-node-id="${node.id}"] [data-zeroctl="${name}"]`)?.replaceWith(root);
  });
}
