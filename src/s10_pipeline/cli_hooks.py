"""What happens around a command: the page that ``kedro viz build`` leaves reads from left to right, like the story."""

from pathlib import Path
from typing import Any

from kedro.framework.cli.hooks import cli_hook_impl

PAGE = Path("build/index.html")  # where kedro-viz writes it, from the folder that the command runs in

# kedro-viz has no option or address for this: it keeps what its button last chose in the browser, under this key.
# What a reader chose stays.
LEFT_TO_RIGHT = """<script>
const chosen = JSON.parse(localStorage.getItem("KedroViz") ?? "{}");
localStorage.setItem("KedroViz", JSON.stringify({orientation: "horizontal", ...chosen}));
</script>
"""


class CommandHooks:
    """Hooks around Kedro's commands, registered by the entry point in ``pyproject.toml``."""

    @cli_hook_impl
    def after_command_run(self, project_metadata: Any, command_args: list[str]) -> None:
        """Lay the built graph out from left to right; other commands and other projects are left alone."""
        ours = project_metadata is not None and project_metadata.package_name == "s10_pipeline"
        if ours and command_args[:2] == ["viz", "build"] and PAGE.is_file():
            html = PAGE.read_text(encoding="utf-8")
            if LEFT_TO_RIGHT not in html:
                PAGE.write_text(html.replace("<head>", f"<head>\n{LEFT_TO_RIGHT}", 1), encoding="utf-8")


command_hooks = CommandHooks()
