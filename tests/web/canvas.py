"""A workflow on the page: what its nodes say, and its runs."""

from __future__ import annotations

import json
import os
from typing import Any

SECONDS_TO_SAY = 2.0
"""On a machine with a core to spare; on a busy one as many times longer as processes wait for a core."""
RUN_SECONDS = 240
MESSAGE = ".zeroctl-message"


class Canvas:
    """A workflow on the page, what its nodes say, and its runs."""

    def __init__(self, frontend: Any) -> None:
        self.frontend, self.page = frontend, frontend.page

    def open(self, nodes: dict[str, Any]) -> None:
        self.frontend.close_dialogs()
        self.page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
        self.page.wait_for_function("() => app.graph.nodes.length === 0")
        self.page.evaluate("graph => app.loadApiJson(graph, 'messages')", json.loads(json.dumps(nodes)))
        self.page.wait_for_function("n => app.graph.nodes.length === n", arg=len(nodes))
        self.page.evaluate("async () => app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))")
        self.page.evaluate(
            """() => {
            const ours = app.graph.nodes.filter(n => n.type.startsWith('Zeroctl'));
            ours.forEach((node, index) => { node.pos = [440 * (index % 4), 460 * Math.floor(index / 4)]; });
            app.graph.nodes.filter(n => !ours.includes(n)).forEach((node, index) => { node.pos = [2000, 60 * index]; });
            for (const node of app.graph.nodes)
                for (const widget of node.widgets ?? [])
                    if (widget.name === 'control_after_generate') widget.value = 'fixed';
            app.canvas.ds.scale = 0.8;
            app.canvas.ds.offset = [150, 150];
            app.canvas.setDirty(true, true);
        }"""
        )
        self.page.wait_for_timeout(500)

    def set(self, kind: str, **values: Any) -> None:
        self.page.evaluate(
            """([kind, values]) => {
            const node = app.graph.nodes.find(n => n.type === kind);
            for (const [name, value] of Object.entries(values)) node.widgets.find(w => w.name === name).value = value;
        }""",
            [kind, values],
        )

    def run(self) -> None:
        """Queue the graph and wait for its end, whichever it is."""
        self.page.evaluate(
            """() => {
            window.zeroctlEnd = '';
            try { app.lastNodeErrors = null; } catch { /* of newer front ends it is read only, and cleared */ }
            const api = window.comfyAPI.api.api;
            for (const event of ['execution_success', 'execution_error'])
                api.addEventListener(event, () => (window.zeroctlEnd ||= event), { once: true });
            // false is also what a queue says that still has another graph to send
            const refused = () => Object.keys(app.lastNodeErrors ?? {}).length;
            app.queuePrompt(0).then(ok => { if (!ok && refused()) window.zeroctlEnd ||= 'refused'; });
        }"""
        )
        self.page.wait_for_function("() => window.zeroctlEnd", timeout=1000 * RUN_SECONDS)

    def said(self, kind: str) -> str:
        """All that stands on the first node of a kind."""
        return self.page.evaluate(
            """([kind, place]) => {
            const node = app.graph.nodes.find(n => n.type === kind);
            const widget = node.widgets.find(w => w.name === 'zeroctl_message');
            return widget?.element.isConnected ? widget.element.innerText : '';
        }""",
            [kind, MESSAGE],
        )

    def wait_for(self, kind: str, words: str, seconds: float = SECONDS_TO_SAY) -> str:
        """Wait until a node says it; all that it then says."""
        self.page.wait_for_function(
            """([kind, words]) => app.graph.nodes.find(n => n.type === kind)
            .widgets.find(w => w.name === 'zeroctl_message')?.element.innerText.includes(words)""",
            arg=[kind, words],
            timeout=1000 * seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)),
        )
        return self.said(kind)

    def cut(self, kind: str) -> list[str]:
        """What of the message lies outside of its node, or is cut off without a way to scroll."""
        return self.page.evaluate(
            """kind => {
            const node = app.graph.nodes.find(n => n.type === kind);
            const root = node.widgets.find(w => w.name === 'zeroctl_message').element;
            const box = root.getBoundingClientRect();
            const { scale, offset } = app.canvas.ds;
            const rect = app.canvas.canvas.getBoundingClientRect();
            const whole = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect();
            const bottom = whole?.bottom ?? rect.top + (node.pos[1] + node.size[1] + offset[1]) * scale;
            const right = whole?.right ?? rect.left + (node.pos[0] + node.size[0] + offset[0]) * scale;
            const cut = [];
            if (box.bottom > bottom + 1) cut.push(`bottom ${box.bottom} of ${bottom}`);
            if (box.right > right + 1) cut.push(`right ${box.right} of ${right}`);
            const high = Math.min(root.scrollHeight, 320);
            if (root.clientHeight < high - 1) cut.push(`height ${root.clientHeight} of ${high}`);
            return cut;
        }""",
            kind,
        )
