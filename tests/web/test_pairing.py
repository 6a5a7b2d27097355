"""The list of files on ControlNet in the real frontend: what fits comes first, and goes with the annotator."""

from __future__ import annotations

from typing import Any

from canvas import Canvas
from web_graphs import HEADERS_OF_NETS, graph

DEPTH, CANNY, PROMAX, XL_CANNY = HEADERS_OF_NETS
FIND = "const node = app.graph.nodes.find(n => n.type === 'ZeroctlControlNet');"
WIDGET = FIND + " const widget = node.widgets.find(w => w.name === name);"
ROW = ".zeroctl-pairing"


class Pairing:
    """The node with its MODEL from a file, and the row of its list."""

    def __init__(self, canvas: Canvas, checkpoint: str = "a15", file: str = XL_CANNY) -> None:
        nodes: dict[str, Any] = {"5": graph()["5"]}
        nodes["1"] = {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": f"pairing/{checkpoint}.safetensors"},
        }
        nodes["2"] = {"class_type": "LoadImage", "inputs": {"image": "example.png"}}
        nodes["3"] = {
            "class_type": "ModelSamplingDiscrete",
            "inputs": {"model": ["1", 0], "sampling": "eps", "zsnr": False},
        }
        nodes["5"]["inputs"] |= {"model": ["3", 0], "control_net_name": file}
        self.canvas, self.page = canvas, canvas.page
        canvas.open(nodes)

    def value(self, name: str = "control_net_name") -> str:
        return self.page.evaluate(f"name => {{ {WIDGET} return widget.value; }}", name)

    def listed(self) -> list[str]:
        return self.page.evaluate(f"name => {{ {WIDGET} return [...widget.options.values]; }}", "control_net_name")

    def says(self, *words: str, group: int) -> None:
        """Wait until the row says these words of the file that is chosen."""
        self.page.wait_for_function(
            """([row, words, group]) => { const root = document.querySelector(row);
            return root?.dataset.group === group
                && words.every(word => root.querySelector('.text').textContent.includes(word)); }""",
            arg=[ROW, list(words), str(group)],
            timeout=30_000,
        )

    def choose(self, name: str, value: str) -> None:
        """As a hand does it on the widget."""
        self.page.evaluate(
            f"""([name, value]) => {{ {WIDGET}
            app.canvas.emitBeforeChange();
            widget.value = value;
            widget.callback?.(value, app.canvas, node);
            app.canvas.emitAfterChange(); }}""",
            [name, value],
        )

    def queued(self) -> str:
        output = self.page.evaluate("async () => (await app.graphToPrompt()).output")
        return output["5"]["inputs"]["control_net_name"]


def test_what_fits_comes_first_and_the_rest_says_why_not(canvas: Canvas) -> None:
    pairing = Pairing(canvas)
    before = pairing.page.evaluate(
        "async () => (await (await fetch('object_info/ZeroctlControlNet')).json())"
        ".ZeroctlControlNet.input.required.control_net_name[1].options"
    )
    pairing.says("SDXL net, but the MODEL is SD 1.5", group=3)
    canvas.frontend.picture("pairing-does-not-fit")
    names = pairing.listed()
    assert sorted(names) == sorted(before) and names[:2] == [CANNY, DEPTH]
    options = pairing.page.locator(f"{ROW} option").all_text_contents()
    assert len(options) == len(before) and f"{XL_CANNY}: canny, SDXL; the MODEL is SD 1.5" in options
    assert f"{DEPTH}: depth, SD 1.5; the annotator is canny" in options
    pairing.page.locator(f"{ROW} select").select_option(CANNY)
    pairing.says("fits", "canny, SD 1.5", group=0)
    assert pairing.value() == pairing.queued() == CANNY
    canvas.frontend.picture("pairing-fits")
    # chosen by hand: it stays
    pairing.choose("annotator", "depth")
    pairing.says("trained on canny, but the annotator is depth", group=2)
    assert pairing.queued() == CANNY and pairing.listed()[:2] == [DEPTH, CANNY]
    canvas.frontend.picture("pairing-other-annotator")


def test_the_file_goes_with_the_annotator_and_back_by_one_undo(canvas: Canvas) -> None:
    pairing = Pairing(canvas, file=CANNY)
    pairing.says("fits", group=0)
    pairing.choose("annotator", "depth")
    pairing.says("fits", "depth", group=0)
    assert pairing.value() == pairing.queued() == DEPTH
    pairing.choose("annotator", "tile")  # nothing fits: it stays
    pairing.says("trained on", group=2)
    assert pairing.queued() == DEPTH
    pairing.page.mouse.click(100, 900)
    for annotator, file in (("depth", DEPTH), ("canny", CANNY)):
        pairing.page.keyboard.down("Control")
        pairing.page.keyboard.press("z")
        pairing.page.wait_for_function(
            f"([name, value]) => {{ {WIDGET} return widget.value === value; }}",
            arg=["annotator", annotator],
            timeout=30_000,
        )
        pairing.page.wait_for_timeout(1200)
        pairing.page.keyboard.up("Control")
        pairing.says("fits", group=0)
        assert (pairing.value("annotator"), pairing.queued()) == (annotator, file)


def test_a_union_fits_what_it_has_a_type_for_and_another_model_asks_anew(canvas: Canvas) -> None:
    pairing = Pairing(canvas, checkpoint="axl", file=PROMAX)
    pairing.says("fits", "8 types, SDXL", group=0)
    assert pairing.listed()[:2] == [XL_CANNY, PROMAX]
    pairing.choose("annotator", "shuffle")
    pairing.says("trained on", group=2)
    pairing.choose("annotator", "none")
    pairing.says("fits", group=0)
    canvas.set("CheckpointLoaderSimple", ckpt_name="pairing/a15.safetensors")
    pairing.says("SDXL net, but the MODEL is SD 1.5", group=3)
    assert pairing.queued() == PROMAX
    stored = pairing.page.evaluate(f"() => {{ {FIND} return node.serialize().widgets_values; }}")
    assert stored == [True, "none", PROMAX, 1, 0, 1, "balanced", "crop", "{}"]


def test_a_new_node_takes_what_fits_and_leaves_the_list_of_others_alone(canvas: Canvas) -> None:
    pairing = Pairing(canvas, checkpoint="axl", file=PROMAX)
    pairing.says("fits", group=0)
    pairing.choose("annotator", "none")
    before = pairing.listed()
    new = canvas.page.evaluate_handle(
        """() => {
        const node = LiteGraph.createNode("ZeroctlControlNet");
        node.pos = [600, 700];
        app.graph.add(node);
        app.graph.nodes.find(n => n.type === "CheckpointLoaderSimple").connect(0, node, "model");
        return node;
    }"""
    )
    canvas.page.wait_for_function(
        "([node, file]) => node.widgets.find(w => w.name === 'control_net_name').value === file", arg=[new, XL_CANNY]
    )
    names = new.evaluate("node => [...node.widgets.find(w => w.name === 'control_net_name').options.values]")
    assert names[:2] == [XL_CANNY, PROMAX] and sorted(names) == sorted(before)
    assert pairing.listed() == before and pairing.queued() == PROMAX


def test_the_model_is_found_through_subgraphs(canvas: Canvas) -> None:
    pairing = Pairing(canvas, checkpoint="a15", file=XL_CANNY)
    pairing.says("SDXL net, but the MODEL is SD 1.5", group=3)
    inside = """kind => {
        const node = app.graph.nodes.find(n => n.type === kind);
        return app.canvas.graph.convertToSubgraph(new Set([node])).node.id;
    }"""
    canvas.page.evaluate(inside, "CheckpointLoaderSimple")
    canvas.page.wait_for_timeout(1000)
    pairing.choose("annotator", "none")
    pairing.says("SDXL net, but the MODEL is SD 1.5", group=3)
    # the node inside, the loader outside
    pairing = Pairing(canvas, checkpoint="axl", file=CANNY)
    pairing.says("SD 1.5 net, but the MODEL is SDXL", group=3)
    holder = canvas.page.evaluate(inside, "ZeroctlControlNet")
    canvas.page.evaluate(
        """id => {
        const holder = app.graph.getNodeById(id);
        if (app.canvas.openSubgraph.length > 1) app.canvas.openSubgraph(holder.subgraph, holder);
        else app.canvas.openSubgraph(holder.subgraph);
    }""",
        holder,
    )
    canvas.page.wait_for_function(
        f"""() => {{ const node = app.canvas.graph.nodes.find(n => n.type === 'ZeroctlControlNet');
        const row = node?.widgets.find(w => w.name === 'zeroctl_pairing').element;
        return row?.textContent.includes('SD 1.5 net, but the MODEL is SDXL')
            && row.isConnected && document.querySelector('{ROW}')?.dataset.group === '3'; }}""",
        timeout=30_000,
    )
    canvas.frontend.picture("pairing-subgraph")
    canvas.page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")
