"""Provider rules: what a request must look like for one service and one family of models.

Pure functions over a `draft.Draft`: nothing here sends, waits or looks at a clock. A rule that
changes what somebody asked for either refuses or leaves a note, and the answer carries the notes.
"""
