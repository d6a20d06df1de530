"""Text that arrives in pieces, wrapped as it comes."""

from __future__ import annotations

from meshnode.cli.output import WIDTH_MAX, write


class Paragraph:
    """Writes words to stdout as soon as they are complete, in lines that fit a terminal."""

    def __init__(self, indent: str, *, width: int = WIDTH_MAX) -> None:
        self._indent = indent
        self._width = width
        self._column = 0
        self._word = ""

    def add(self, text: str) -> None:
        """A piece of the text; a word may be cut anywhere."""
        for character in text:
            if character.isspace():
                self._end_word()
                if character == "\n":
                    self._end_line()
            else:
                self._word += character

    def finish(self) -> None:
        """The text is complete."""
        self._end_word()
        self._end_line()

    def _end_word(self) -> None:
        word, self._word = self._word, ""
        if not word:
            return
        if self._column and self._column + 1 + len(word) > self._width:
            self._end_line()
        if self._column:
            write(f" {word}")
            self._column += 1 + len(word)
        else:
            write(f"{self._indent}{word}")
            self._column = len(self._indent) + len(word)

    def _end_line(self) -> None:
        if self._column:
            write("\n")
        self._column = 0
