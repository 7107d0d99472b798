"""Pages that ask the network for nothing: images from elsewhere are replaced by their text."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the transform."""
    app.add_transform(RemoteImages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class RemoteImages(SphinxTransform):
    """The badges of the README become links with words."""

    default_priority = 500

    def apply(self) -> None:
        """Runs once for each page."""
        for image in list(self.document.findall(nodes.image)):
            if image["uri"].startswith(("http://", "https://")):
                image.replace_self(nodes.inline("", f"[{image.get('alt', image['uri'])}]"))
