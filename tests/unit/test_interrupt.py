import signal
import threading

import pytest

from hacrl_lab.interrupt import SIGNALS, Interrupted, Terminated, graceful_interrupt

each_signal = pytest.mark.parametrize("number", SIGNALS)


@each_signal
def test_the_first_signal_is_remembered_and_reported(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    with graceful_interrupt() as received:
        assert received() == 0
        signal.raise_signal(number)
        assert received() == number
    assert "Finishing this step and saving; " in capsys.readouterr().err


@each_signal
@pytest.mark.parametrize("first", SIGNALS)
def test_the_second_stops_at_once(first: int, number: int) -> None:
    with graceful_interrupt():
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt) as stop:
            signal.raise_signal(number)
    assert isinstance(stop.value, Terminated) == (number == signal.SIGTERM)


def test_the_exit_status_tells_the_signal() -> None:
    assert Interrupted("stopped").status == 130
    assert Interrupted("stopped", signal.SIGTERM).status == 143


@each_signal
def test_handler_of_before_is_put_back_even_after_an_error(number: int) -> None:
    def break_off() -> None:
        with graceful_interrupt():
            assert signal.getsignal(number) is not before
            raise RuntimeError("broken")

    before = signal.getsignal(number)
    with pytest.raises(RuntimeError, match="broken"):
        break_off()
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_nothing_is_touched() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with graceful_interrupt() as received:
            seen.extend([received(), signal.getsignal(signal.SIGINT) is before])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0, True]
