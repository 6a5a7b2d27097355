// Nodes of ours as wide as their titles and the names of files in them, and wires of ours in colours of their own.
import { app } from "../../../scripts/app.js";

const WIDTH_OF_FILES = 410; // pixels: control_v11p_sd15_canny_fp16.safetensors is cut by 5 in Nodes 2.0 at 400
const FILES = ["control_net_name", "model", "detector", "estimator", "download"]; // inputs that name one
const BESIDE_TITLE = 76; // pixels of a title's line that the renderers have for other things
const COLOURS = {
  ZEROCTL_STACK: "#f0a35e",
  ZEROCTL_WEIGHTS: "#6fc3df",
  ZEROCTL_SCHEDULE: "#c3a6ff",
  ZEROCTL_UNION: "#7ed6a5",
  ZEROCTL_TRAINING_DATA: "#e8d86b",
};

function widthOf(title) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "14px Inter, Arial, sans-serif";
  return pen.measureText(title).width + BESIDE_TITLE;
}

/** A palette that has a colour for a type keeps it; others leave it empty. */
function colourWires() {
  const maps = [app.canvas?.constructor?.link_type_colors, app.canvas?.default_connection_color_byType];
  const style = document.documentElement.style;
  for (const [type, colour] of Object.entries(COLOURS)) {
    for (const map of maps) if (map && !map[type]) map[type] = colour;
    const name = `--color-datatype-${type}`;
    if (!style.getPropertyValue(name)) style.setProperty(name, colour);
  }
}

app.registerExtension({
  name: "zeroctl.face",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Zeroctl")) return;
    const hasFiles = node.widgets?.some(({ name }) => FILES.includes(name));
    const width = Math.max(node.size[0], hasFiles ? WIDTH_OF_FILES : 0, widthOf(node.title));
    node.setSize([Math.ceil(width), node.size[1]]);
    colourWires();
  },
  setup() {
    colourWires();
    // the front end's own listener of this puts the colours of the palette in place
    app.ui.settings.addEventListener("Comfy.ColorPalette.change", () => setTimeout(colourWires, 100));
  },
});
