"""Settings of the documentation: `make docs` builds it into build/docs, without a network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent / "src")]

from capsight.version import __version__  # noqa: E402

project = "capsight"
author = "The capsight developers"
project_copyright = "The capsight developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "reference"]
exclude_patterns = ["extensions", "README.md"]
suppress_warnings = ["myst.header"]  # pages that are included begin below the first level

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"capsight {release}"
html_static_path = ["static"]
html_css_files = ["capsight.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "source_repository": "https://github.com/capsight/capsight/",
    "source_branch": "main",
    "source_directory": "docs/",
}
