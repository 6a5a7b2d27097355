"""What our nodes say in the real frontend: errors, refusals, notices and reports, on the node of the canvas."""

from __future__ import annotations

from typing import Any

from canvas import Canvas
from web_graphs import graph, separate

MESSAGE = ".zeroctl-message"


def seed_of(frontend: Any, number: int) -> int:
    """A scene of its own for each test and renderer: the server's cache has none of its pictures."""
    return 1000 * number + len(frontend.renderer)


def test_a_report_stands_on_the_node_and_survives_a_change_of_the_tab(canvas: Canvas) -> None:
    canvas.open(graph())
    canvas.set("ZeroctlDemoScene", seed=seed_of(canvas.frontend, 1))
    canvas.run()
    text = canvas.wait_for("ZeroctlControlNet", "edges on ")
    line = text.split("\n")[0]
    assert "steps 1-20 of 20, +" in line and line.endswith(" %")
    assert "active timesteps" not in text, "folded"
    assert not canvas.cut("ZeroctlControlNet")
    canvas.frontend.picture("message-report")
    canvas.page.locator(f"{MESSAGE} summary").last.click()
    canvas.page.locator(f"{MESSAGE} details .text", has_text="active timesteps").wait_for()
    canvas.page.wait_for_timeout(700)
    assert not canvas.cut("ZeroctlControlNet")
    canvas.frontend.picture("message-report-unfolded")
    pictures = "() => app.nodeOutputs[app.graph.nodes.find(n => n.type === 'ZeroctlControlNet').id]?.images?.length"
    assert canvas.page.evaluate(pictures) == 1
    # another tab, and back
    canvas.page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    canvas.page.wait_for_function("() => app.graph.nodes.length === 0")
    canvas.page.evaluate("() => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
    canvas.page.wait_for_function("() => app.graph.nodes.some(n => n.type === 'ZeroctlControlNet')")
    assert line in canvas.wait_for("ZeroctlControlNet", "edges on ", 5)
    canvas.frontend.picture("message-after-tab")


def test_a_fresh_page_shows_the_report_of_what_is_cached(canvas: Canvas) -> None:
    canvas.open(graph())
    canvas.set("ZeroctlDemoScene", seed=seed_of(canvas.frontend, 2))
    canvas.run()
    line = canvas.wait_for("ZeroctlControlNet", "edges on ").split("\n")[0]
    workflow = canvas.page.evaluate("() => JSON.stringify(app.graph.serialize())")
    canvas.frontend.reload()
    canvas.page.evaluate("text => app.loadGraphData(JSON.parse(text))", workflow)
    canvas.page.wait_for_function("() => app.graph.nodes.some(n => n.type === 'ZeroctlControlNet')")
    assert canvas.said("ZeroctlControlNet") == ""
    canvas.run()
    assert line in canvas.wait_for("ZeroctlControlNet", "edges on ")
    canvas.frontend.picture("message-fresh-page")


def test_an_error_stands_on_the_node_and_goes_with_the_next_run(canvas: Canvas) -> None:
    canvas.open(graph())
    canvas.set("ZeroctlDemoScene", seed=seed_of(canvas.frontend, 3))
    canvas.set("ZeroctlControlNet", start=0.9, end=0.1)
    canvas.run()
    text = canvas.wait_for("ZeroctlControlNet", "schedule start 0.9 is after end 0.1")
    assert "exchange them" in text and not canvas.cut("ZeroctlControlNet")
    canvas.page.get_by_role("alert").filter(has_text="schedule start 0.9").first.wait_for()
    canvas.frontend.picture("message-error")
    canvas.set("ZeroctlControlNet", start=0, end=1)
    canvas.run()
    assert "schedule start" not in canvas.wait_for("ZeroctlControlNet", "edges on ")


def test_a_refusal_before_the_run_stands_on_the_node(canvas: Canvas) -> None:
    canvas.open(graph())
    canvas.set("ZeroctlControlNet", strength=99)
    canvas.run()
    text = canvas.wait_for("ZeroctlControlNet", "strength")
    assert "10" in text and not canvas.cut("ZeroctlControlNet")
    canvas.frontend.picture("message-refusal")


def test_with_the_only_control_bypassed_the_model_passes_and_the_node_says_so(canvas: Canvas) -> None:
    for mode in (4, 2):  # bypassed, muted
        canvas.open(separate())
        canvas.set("ZeroctlDemoScene", seed=seed_of(canvas.frontend, 4 + mode))
        canvas.page.evaluate("mode => { app.graph.nodes.find(n => n.type === 'ZeroctlControl').mode = mode; }", mode)
        canvas.run()
        assert canvas.page.evaluate("() => window.zeroctlEnd") == "execution_success"
        # muted, it is the same graph to the server, which has what Apply made
        canvas.wait_for("ZeroctlApply", "the MODEL passes unchanged")
        assert mode == 2 or "no control comes in at stack" in canvas.said("ZeroctlApply")
        canvas.frontend.picture(f"message-mode-{mode}")


def test_a_control_that_never_acted_is_said_on_the_node_until_it_acts(canvas: Canvas) -> None:
    canvas.open(graph())
    canvas.set("ZeroctlDemoScene", seed=seed_of(canvas.frontend, 9))
    canvas.set("ZeroctlControlNet", start=1)
    canvas.run()
    text = canvas.wait_for("ZeroctlControlNet", "never acted in this run")
    assert "Widen start and end" in text and "edges on " in text
    canvas.frontend.picture("message-never-acted")
    canvas.set("ZeroctlControlNet", start=0)
    canvas.run()
    canvas.page.wait_for_timeout(500)
    assert "never acted" not in canvas.said("ZeroctlControlNet")
