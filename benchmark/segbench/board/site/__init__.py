"""The leaderboard as a static page: plain HTML, CSS and small scripts, opened from the disk.

The few charts (intervals, distributions, quality against cost, one entry against another) are drawn
as SVG by `assets/charts.js`, not by a chart library: Observable Plot with d3 is half a megabyte of
script and writes `<style>` elements into its drawings, which the page's content security policy
forbids; ours are small, take the page's colours and need no exception.
"""

from __future__ import annotations

from segbench.board.site.write import is_site, write_site

__all__ = ["is_site", "write_site"]
