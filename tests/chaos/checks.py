"""The checks of a run, besides the invariants that the auditor checks: each is a pure function of the evidence.

A check is UNKNOWN if the run does not show what it is about: a verdict over nothing proves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

from loadtests.shoppers import KINDS
from tests.chaos.evidence import Evidence
from tests.chaos.intake import free_intake
from tests.chaos.model import Check, Verdict
from tests.chaos.purchases import Purchase
from tests.chaos.usage import grown, last

TRUE, FALSE, UNKNOWN = Verdict.TRUE, Verdict.FALSE, Verdict.UNKNOWN

RECOVERS_WITHIN: Final = 8.0
"""Seconds from the end of a fault to the first order that completes."""

SETTLES_WITHIN: Final = 15.0
"""Seconds from the end of the last fault until every order accepted before it is settled."""

KEEPS: Final = 0.95
"""The share of the throughput before the faults that must be reached again after them."""

PROMPT: Final = 5.0
"""An order counts as throughput when its shopper was told the end within so many seconds."""

ENOUGH: Final = 20
"""The least number of orders to take a share of; from fewer nothing is concluded."""

CALM: Final = SETTLES_WITHIN
"""Seconds after the last fault until throughput is measured again: the backlog is done first."""

ARRIVALS: Final = 3

CONFIRMS_WITHIN: Final = 30.0
"""Seconds after its deadline for which an order may still be confirmed: a fault may keep it from being cancelled."""


def audit(evidence: Evidence) -> Check:
    """The databases, ledger, journals and what clients were told agree; nothing is left in flight."""
    report = evidence.audit
    if report is None:
        return Check("audit", UNKNOWN, f"no audit was made: {evidence.audit_error or 'the run ended before'}")
    broken = [one for one in report["invariants"] if one["violations"]]
    if broken:
        first = next((one for row in broken for one in row["found"]), {"subject": "", "what": ""})
        numbers = ", ".join(f"{one['number']} ({one['violations']} times)" for one in broken)
        return Check("audit", FALSE, f"invariants violated: {numbers}; first: {first['subject']}: {first['what']}")
    if not report["drained"]:
        return Check("audit", FALSE, f"not all is settled: {'; '.join(report['notes'])}")
    if report["vacuous"]:
        return Check("audit", UNKNOWN, "there was no order to audit")
    orders = sum(report["counts"]["orders"].values())
    judged = sum(1 for one in report["invariants"] if one["judged"])
    return Check("audit", TRUE, f"{judged} invariants hold over {orders} orders")


def felt(evidence: Evidence) -> Check:
    """Each fault that was asked for was injected, and the system noticed it."""
    wrong = [f"{fault} not run: {why}" for fault, why in evidence.missing.items()]
    fired, noticed = Counter[str](), Counter[str]()
    for one in evidence.injections:
        fired[one.fault] += 1
        noticed[one.fault] += one.felt is True
    wrong += [f"{fault} never fired" for fault in evidence.faults if not fired[fault] and fault not in evidence.missing]
    wrong += [
        f"{fault} fired {fired[fault]} times and was never felt"
        for fault in fired
        if not noticed[fault] and fault not in evidence.missing
    ]
    if not evidence.faults:
        wrong.append("no fault was asked for")
    detail = ", ".join(f"{fault} {noticed[fault]} of {fired[fault]}" for fault in evidence.faults if fired[fault])
    return Check("felt", UNKNOWN if wrong else TRUE, "; ".join(wrong) or f"felt: {detail}")


def healed(evidence: Evidence) -> Check:
    """Every fault healed within its time."""
    stuck = [f"{one.fault} of {one.target}: {one.detail}" for one in evidence.injections if one.ended is None]
    if stuck:
        return Check("healed", FALSE, f"did not heal: {'; '.join(stuck)}")
    if not evidence.injections:
        return Check("healed", UNKNOWN, "nothing was broken")
    slowest = max(evidence.injections, key=lambda one: (one.ended or 0) - one.began)
    seconds = (slowest.ended or 0) - slowest.began
    return Check(
        "healed", TRUE, f"all {len(evidence.injections)}; longest: {slowest.fault} of {slowest.target}, {seconds:.1f} s"
    )


def compensated(evidence: Evidence) -> Check:
    """Some orders were compensated: otherwise compensation was not tested."""
    done = evidence.audit["counts"]["compensations"] if evidence.audit else {}
    if not sum(done.values()):
        return Check("compensated", UNKNOWN, "no order was compensated")
    return Check("compensated", TRUE, ", ".join(f"{what} {times} times" for what, times in sorted(done.items())))


def progress(evidence: Evidence) -> Check:
    """Orders were taken during each fault of a part that the intake does not need."""
    came = [one.began for one in evidence.purchases()]
    taken = [one.created for one in evidence.orders]
    judged, stopped = 0, []
    for one in evidence.injections:
        for start, end in free_intake(one, evidence):
            arrivals = sum(1 for at in came if start <= at <= end - 0.5)
            if arrivals < ARRIVALS:
                continue
            judged += 1
            if not any(start <= at <= end for at in taken):
                stopped.append(f"{one.fault} of {one.target}: {arrivals} shoppers came, no order was taken")
    if stopped:
        return Check("progress", FALSE, "; ".join(stopped))
    if not judged:
        return Check("progress", UNKNOWN, f"no fault that leaves the intake alone lasted for {ARRIVALS} arrivals")
    return Check("progress", TRUE, f"orders were taken in each of {judged} times of faults that leave the intake alone")


def recovery(evidence: Evidence) -> Check:
    """After each fault a good order completes within RECOVERS_WITHIN."""
    completed = sorted(
        one.answered for one in evidence.purchases() if one.answered is not None and one.status == "COMPLETED"
    )
    times, late = [], []
    ends = list(evidence.clusters())
    for number, (_, end) in enumerate(ends):
        until = ends[number + 1][0] if number + 1 < len(ends) else evidence.phases.load_ended
        first = next((at - end for at in completed if at >= end), None)
        if first is None or (first > RECOVERS_WITHIN and until - end > RECOVERS_WITHIN):
            late.append(f"{first:.1f} s" if first is not None else "never")
        elif first <= RECOVERS_WITHIN:
            times.append(first)
    if late:
        return Check("recovery", FALSE, f"the first order after a fault completed too late: {', '.join(late)}")
    if not times:
        return Check("recovery", UNKNOWN, "there was no time without a fault to see an order complete in")
    return Check(
        "recovery", TRUE, f"first order completed {median(times):.2f} s after a fault, at most {max(times):.2f} s"
    )


def settled(evidence: Evidence) -> Check:
    """Every order accepted before the end of the last fault is settled within SETTLES_WITHIN after it."""
    before = [one for one in evidence.orders if one.created <= evidence.phases.healed]
    left = [one.order_id for one in before if not one.settled]
    if left:
        return Check("settled", FALSE, f"{len(left)} orders are not settled: {', '.join(left[:5])}")
    if not before:
        return Check("settled", UNKNOWN, "no order was accepted before the last fault ended")
    seconds = max(0.0, max(one.updated for one in before) - evidence.phases.healed)
    verdict = TRUE if seconds <= SETTLES_WITHIN else FALSE
    return Check("settled", verdict, f"all {len(before)} orders settled {seconds:.1f} s after the last fault")


def throughput(evidence: Evidence) -> Check:
    """The share of good orders that are answered promptly is nearly the same after the faults as before them."""
    phases, good = evidence.phases, [one for one in evidence.purchases() if one.kind == "good"]
    before = [one for one in good if phases.load_began <= one.began < phases.faults_began - PROMPT / 2]
    after = [one for one in good if phases.healed + CALM <= one.began <= phases.load_ended]
    if len(before) < ENOUGH or len(after) < ENOUGH:
        counts = f"{len(before)} good orders before and {len(after)} after the faults"
        return Check("throughput", UNKNOWN, f"{counts}: at least {ENOUGH} each are needed")
    then, now = _prompt(before), _prompt(after)
    verdict = TRUE if now >= KEEPS * then else FALSE
    detail = f"answered within {PROMPT:.0f} s: {then:.0%} of {len(before)} before, {now:.0%} of {len(after)} after"
    return Check("throughput", verdict, detail)


def ends(evidence: Evidence) -> Check:
    """Every order ended as its kind must, or because it met its deadline; none was confirmed long after that."""
    purchases = {(one.customer, one.key): one.kind for one in evidence.purchases()}
    must = {kind.name: kind.reason for kind in KINDS if not kind.cancels}
    judged, wrong, late = 0, [], 0
    for order in evidence.orders:
        kind = purchases.get((order.customer, order.key))
        if kind not in must or not order.settled:
            continue
        judged += 1
        late += order.reason == "TIMED_OUT"
        if order.confirmed and (waited := order.confirmed - order.created) > evidence.deadline + CONFIRMS_WITHIN:
            wrong.append(f"{order.order_id} ({kind}): confirmed after {waited:.0f} s")
        if order.reason not in (must[kind], "TIMED_OUT"):
            wrong.append(f"{order.order_id} ({kind}): {order.status} {order.reason or ''}".rstrip())
    if wrong:
        return Check("ends", FALSE, f"{len(wrong)} orders ended as they must not: {', '.join(wrong[:5])}")
    if not judged:
        return Check("ends", UNKNOWN, "no order ended whose end is known beforehand")
    return Check("ends", TRUE, f"{judged} orders ended as they must, {late} of them at their deadline")


def usage(evidence: Evidence) -> Check:
    """Memory, connections, threads and file descriptors have not grown since before the faults."""
    before = last(one for one in evidence.samples if one.at <= evidence.phases.faults_began)
    after = last(one for one in evidence.samples if one.at > evidence.phases.load_ended)
    names = sorted(before.keys() & after.keys())
    if not names:
        return Check("usage", UNKNOWN, "no process was seen both before the faults and after the load")
    if more := grown(before, after):
        return Check("usage", FALSE, "; ".join(more))
    most = max((after[name] for name in names), key=lambda one: one.memory)
    return Check("usage", TRUE, f"{len(names)} processes as before; the largest is {most.name}, {most.memory >> 20} MB")


def _prompt(purchases: Sequence[Purchase]) -> float:
    prompt = sum(1 for one in purchases if one.answered is not None and one.answered - one.began <= PROMPT)
    return prompt / len(purchases)


CHECKS: Final[Mapping[str, Callable[[Evidence], Check]]] = {
    "audit": audit,
    "ends": ends,
    "felt": felt,
    "compensated": compensated,
    "healed": healed,
    "progress": progress,
    "recovery": recovery,
    "settled": settled,
    "throughput": throughput,
    "usage": usage,
}


def verdict_of(checks: Sequence[Check]) -> Verdict:
    """FALSE if any check is FALSE, else UNKNOWN if any is UNKNOWN or there is none, else TRUE."""
    verdicts = {check.verdict for check in checks}
    if FALSE in verdicts:
        return FALSE
    return UNKNOWN if UNKNOWN in verdicts or not checks else TRUE
