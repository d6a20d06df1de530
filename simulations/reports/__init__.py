"""Reports: tables, curves, timelines, traces, the DAG, and one page that holds them together."""

from __future__ import annotations

from simulations.reports.report import Report, write_report

__all__ = ["Report", "write_report"]
