// What a choice needs that is not on disk stands in its list, before any run: "teed (7_model.pth, 0.2 MB, not here)", and
// beside the switch that fetches it. Lists of front ends before 1.30 show the plain names.
import { app } from "../../../scripts/app.js";
import { absentOf, annotatorsOf, inputsOf } from "./annotator_settings.js";
import { isVue } from "./parts.js";

const NODE = "ZeroctlControlNet";
const WIDE = 440; // pixels: Nodes 2.0 gives a name of a row three fifths of them

function withAbsent(value, text) {
  return text ? `${value} (${text}, not here)` : value;
}

/**
 * Show another text in place of some values of a list; the values stay what they are. Only where something is missing:
 * the menu of such a list has no field to filter it by, in the classic renderer.
 */
function labelValues(widget, absentOfValue) {
  widget.options.getOptionLabel = (value) => withAbsent(String(value ?? ""), absentOfValue(value));
}

/** The switch says it, too. Nodes 2.0 reads a label once: there, where no other choice does without the file. */
function labelSwitch(node, widget) {
  const always = inputsOf(node.comfyClass).download?.[1]?.zeroctl_absent?.[""];
  if (isVue()) {
    if (!always) return;
    widget.label = withAbsent("download", always);
    return node.setSize([Math.max(node.size[0], WIDE), node.size[1]]);
  }
  const valuesOf = () => Object.fromEntries(node.widgets.map(({ name, value }) => [name, value]));
  const get = () => withAbsent("download", absentOf(node.comfyClass, valuesOf()));
  Object.defineProperty(widget, "label", { get, set: () => {} });
}

app.registerExtension({
  name: "zeroctl.absent",
  nodeCreated(node) {
    const id = node.comfyClass;
    if (!id?.startsWith("Zeroctl")) return;
    for (const widget of node.widgets ?? []) {
      const lacks = () => inputsOf(id)[widget.name]?.[1]?.zeroctl_absent;
      if (id === NODE && widget.name === "annotator") labelValues(widget, (value) => absentOf(annotatorsOf()[value]?.node));
      else if (widget.type === "combo" && lacks()) labelValues(widget, (value) => lacks()?.[value]);
      else if (widget.name === "download") labelSwitch(node, widget);
    }
  },
});
