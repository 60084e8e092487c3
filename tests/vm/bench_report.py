# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the comparison found, as a table for people and as JSON for programs.
import json
import statistics


def quantiles(values):
    return min(values), round(statistics.median(values)), max(values)


def failover_table(failovers):
    lines = ["| cluster | failovers | min ms | median ms | max ms |", "|---|--:|--:|--:|--:|"]
    for name, results in failovers.items():
        if results:
            least, median, most = quantiles([result["outage_ms"] for result in results])
            lines.append(f"| {name} | {len(results)} | {least} | {median} | {most} |")
    return lines


def phase_table(failovers):
    """Median of each phase."""
    lines = ["| cluster | phase | median ms |", "|---|---|--:|"]
    for name, results in failovers.items():
        for phase in dict.fromkeys(phase for result in results for phase in result["phases"]):
            values = [result["phases"][phase] for result in results if phase in result["phases"]]
            lines.append(f"| {name} | {phase} | {round(statistics.median(values))} |")
    return lines


def ratios(failovers):
    medians = {name: statistics.median(result["outage_ms"] for result in results) for name, results in failovers.items()
               if results}
    return [f"{other} / {one}, medians: {medians[other] / medians[one]:.1f}" for one in medians if one.startswith("lunkeeper")
            for other in medians if other.startswith("pacemaker")]


def takeover_table(takeover):
    lines = ["| LUNs | how | min ms | median ms | max ms |", "|--:|---|--:|--:|--:|"]
    for how, values in takeover["ms"].items():
        least, median, most = quantiles(values)
        lines.append(f"| {takeover['luns']} | {how} | {least} | {median} | {most} |")
    return lines


def tables(document):
    lines = []
    if any(document["failovers"].values()):
        lines += [*failover_table(document["failovers"]), "", *ratios(document["failovers"]), "",
                  *phase_table(document["failovers"]), ""]
    if document["takeover"]:
        lines += takeover_table(document["takeover"])
        ours = statistics.median(document["takeover"]["ms"]["LunKeeper"])
        lines += ["", *(f"{how} / LunKeeper, medians: {statistics.median(values) / ours:.1f}"
                        for how, values in document["takeover"]["ms"].items() if how != "LunKeeper")]
    return "\n".join(lines) + "\n"


def write(document, json_file, markdown_file):
    text = tables(document)
    print(text, end="")
    if json_file:
        with open(json_file, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
    if markdown_file:
        with open(markdown_file, "w", encoding="utf-8") as file:
            file.write(text)
