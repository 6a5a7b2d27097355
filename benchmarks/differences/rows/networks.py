"""HED, lineart, TEED and M-LSD: networks with the same random weights on both sides."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.differences.detectors import aux_detector, hf_detector
from benchmarks.differences.peer_networks import anime, drawing, hed, mlsd, net_of, with_parts
from benchmarks.differences.peers import aux, hf
from benchmarks.differences.pictures import odd_photo, small_photos
from benchmarks.differences.releases import demo
from benchmarks.differences.row import Row, row

PEERS = (("aux", aux, aux_detector), ("hf", hf, hf_detector))
SUMS = "both: the same formula, but sums in float32 that fall to the other side of a cut to 8 bits (annotator/hed)"
FRACTIONS = (
    "both: ours keeps the net's fractions, the released annotator/lineart and lineart_anime cut them to 8 bits "
    "before they turn the map round: less than one level"
)


def hed_rows() -> Iterator[Row]:
    small = small_photos()
    parts = with_parts("HEDdetector", {"netNetwork": (hed, "hed")})
    for title, det, settings, peer_settings in (
        ("HED, safe", "SoftEdge_HED_safe", {"safe": True}, {"safe": True}),
        ("HED, unsafe", "SoftEdge_HED", {"safe": False}, {"safe": False}),
        ("HED, scribble", "Scribble_HED", {"mode": "scribble"}, {"scribble": True}),
    ):
        name = "gradio_scribble" if "Scribble" in det else "gradio_softedge"
        run = demo("cn11", name, parts, det=det)
        yield row(
            title, "softedge", "cn11", file=f"{name}.py", theirs=run, pictures=small, why=SUMS, net="hed", **settings
        )
        for peer, package, detector in PEERS:
            run = detector("hed", "HEDdetector", net_of(package, "hed", hed, "hed"), **peer_settings)
            yield row(title, "softedge", peer, file="hed", theirs=run, pictures=small, why=SUMS, net="hed", **settings)


def lineart_rows() -> Iterator[Row]:
    small = small_photos()
    nets = {"model": (drawing, "lineart_realistic"), "model_coarse": (drawing, "lineart_coarse")}
    for style, det in (("realistic", "Lineart"), ("coarse", "Lineart_Coarse")):
        title, net = f"lineart, {style}", f"lineart_{style}"
        run = demo("cn11", "gradio_lineart", with_parts("LineartDetector", nets), det=det)
        yield row(
            title,
            "lineart",
            "cn11",
            file="gradio_lineart.py",
            theirs=run,
            pictures=small,
            why=FRACTIONS,
            net=net,
            style=style,
        )
        for peer, package, detector in PEERS:
            both = [net_of(package, "lineart", drawing, f"lineart_{kind}") for kind in ("realistic", "coarse")]
            run = detector("lineart", "LineartDetector", *both, coarse=style == "coarse")
            yield row(
                title, "lineart", peer, file="lineart", theirs=run, pictures=small, why=FRACTIONS, net=net, style=style
            )


def anime_rows() -> Iterator[Row]:
    title, name, file, small = "lineart, anime", "lineart_anime", "gradio_lineart_anime.py", small_photos()
    stretched = (
        "ours departs: the release stretches to multiples of 256 and back (annotator/lineart_anime), we pad, which "
        "keeps the proportions; random weights do not tell how much that is with trained ones"
    )
    parts = with_parts("LineartAnimeDetector", {"model": (anime, "lineart_anime")})
    run = demo("cn11", "gradio_lineart_anime", parts, det="Lineart_Anime")
    yield row(title, name, "cn11", file=file, theirs=run, pictures=small, why=FRACTIONS, net=name)
    yield row(
        f"{title}, odd size", name, "cn11", file=file, theirs=run, pictures=odd_photo(256, 320), why=stretched, net=name
    )
    for peer, package, detector in PEERS:
        run = detector("lineart_anime", "LineartAnimeDetector", net_of(package, "lineart_anime", anime, name))
        yield row(title, name, peer, file="lineart_anime", theirs=run, pictures=small, why=FRACTIONS, net=name)


def manga_rows() -> Iterator[Row]:
    net = net_of(aux, "manga_line", lambda package: package.res_skip(), "lineart_manga")
    yield row(
        "lineart, manga",
        "lineart_manga",
        "aux",
        file="manga_line",
        theirs=aux_detector("manga_line", "LineartMangaDetector", net),
        pictures=small_photos(),
        why="both: ours rounds the grey that goes into the net and keeps the fractions of the map, aux cuts both",
        net="lineart_manga",
    )


def teed_rows() -> Iterator[Row]:
    small = small_photos()
    for title, steps in (("TEED", 2), ("TEED, all shades", 0)):
        for peer, package, detector in PEERS:
            name = "TEDDetector" if peer == "aux" else "TEEDdetector"
            net = net_of(package, "teed", lambda package: package.TED(), "teed")
            run = detector("teed", name, net, safe_steps=steps)
            yield row(
                title, "teed", peer, file="teed", theirs=run, pictures=small, why=SUMS, net="teed", safe_steps=steps
            )


def mlsd_rows() -> Iterator[Row]:
    small = small_photos()
    settings = {"method": "mlsd", "score": 0.3, "distance": 8.0}
    parts = with_parts("MLSDdetector", {"model": (mlsd, "mlsd")})
    run = demo("cn11", "gradio_mlsd", parts, det="MLSD", value_threshold=0.3, distance_threshold=8.0)
    yield row(
        "lines, M-LSD",
        "lines",
        "cn11",
        file="gradio_mlsd.py",
        theirs=run,
        pictures=small,
        why=SUMS,
        net="mlsd",
        **settings,
    )
    for peer, package, detector in PEERS:
        run = detector("mlsd", "MLSDdetector", net_of(package, "mlsd", mlsd, "mlsd"), thr_v=0.3, thr_d=8.0)
        yield row(
            "lines, M-LSD", "lines", peer, file="mlsd", theirs=run, pictures=small, why=SUMS, net="mlsd", **settings
        )


def rows() -> list[Row]:
    return [*hed_rows(), *lineart_rows(), *anime_rows(), *manga_rows(), *teed_rows(), *mlsd_rows()]
