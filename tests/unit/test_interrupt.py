import signal
import threading

import pytest

from hacrl_lab.interrupt import graceful_interrupt


def test_first_interrupt_sets_the_flag_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with graceful_interrupt() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
    assert "Finishing this step and saving; Ctrl-C again stops at once." in capsys.readouterr().err


def test_second_interrupt_stops_at_once() -> None:
    with graceful_interrupt():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handler_of_before_is_put_back_even_after_an_error() -> None:
    def break_off() -> None:
        with graceful_interrupt():
            assert signal.getsignal(signal.SIGINT) is not before
            raise RuntimeError("broken")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError, match="broken"):
        break_off()
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_touched() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with graceful_interrupt() as interrupted:
            seen.extend([interrupted(), signal.getsignal(signal.SIGINT) is before])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False, True]
