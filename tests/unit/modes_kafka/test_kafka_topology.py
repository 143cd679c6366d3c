"""Names of topics are part of the contract with other systems: they never change by accident."""

from checkout.topology import choreography, orchestration
from sagakit.modes.kafka.topology import topics


def test_choreography_has_a_topic_per_service_and_dead_letters_per_consumer() -> None:
    assert topics(choreography(), 6) == {
        **{f"quartet.choreography.{one}.events": 6 for one in ("order", "inventory", "payment", "shipping")},
        **{f"quartet.{one}.dead-letters": 1 for one in ("order", "inventory", "payment", "shipping")},
    }


def test_orchestration_has_commands_and_replies_per_participant() -> None:
    assert topics(orchestration(), 3) == {
        **{f"quartet.orchestration.{one}.commands": 3 for one in ("inventory", "payment", "shipping")},
        **{f"quartet.orchestration.{one}.events": 3 for one in ("inventory", "payment", "shipping")},
        **{f"quartet.{one}.dead-letters": 1 for one in ("order", "inventory", "payment", "shipping")},
    }
