"""``closing-states``: the table of a connection's states, drawn from the table that the code moves through.

Each line of its content is ``NAME: words`` and explains a state or an event; a missing or superfluous name is an error.
"""

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from polysocket._core import states as closing


class ClosingStates(SphinxDirective):
    """The directive."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make a table with one row for each state."""
        self.env.note_dependency(closing.__file__)
        words = dict(line.split(": ", 1) for line in self.content if line)
        names = [each.name for each in (*closing.State, *closing.Event)]
        if list(words) != names:
            raise self.error(f"closing-states must explain {', '.join(names)}, in this order")
        lines = [
            ".. list-table::",
            "   :header-rows: 1",
            "   :widths: 20 40 40",
            "",
            "   * - State",
            "     - Meaning",
            "     - Next",
        ]
        for state in closing.State:
            following = [
                f"{words[event.name]} → ``{after.name}``"
                for (before, event), after in closing.TRANSITIONS.items()
                if before is state
            ]
            lines += [f"   * - ``{state.name}``", f"     - {words[state.name]}"]
            lines += (
                [f"     - | {following[0]}", *(f"       | {each}" for each in following[1:])]
                if following
                else ["     - –"]
            )
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("closing-states", ClosingStates)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
