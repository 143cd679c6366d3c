"""A diagram as a file of its own: the SVG with the style sheet of diagrams inside, which follows light and dark."""

from console_service.assets import Assets
from console_service.diagram import Diagram
from console_service.drawing import Options, draw

STYLES = "diagram.css"


def standalone(diagram: Diagram, options: Options, assets: Assets) -> str:
    """The text of an SVG file."""
    return draw(diagram, options).replace("<defs>", f"<style>{assets.text(STYLES)}</style><defs>", 1)
