"""Documents of blocks: one content, written as a page of HTML, as Markdown and as PDF."""
