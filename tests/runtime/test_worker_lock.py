import multiprocessing
import shutil

from cryotome.runtime.worker_lock import claim_partial_folder, lock_folder


def test_the_same_passport_is_recognised_and_another_is_not(tmp_path):
    assert not claim_partial_folder(tmp_path, {"seed": 1, "model": "a"})
    assert claim_partial_folder(tmp_path, {"model": "a", "seed": 1})
    assert not claim_partial_folder(tmp_path, {"model": "a", "seed": 2})


def hold(folder, inside, leave):
    with lock_folder(folder):
        inside.set()
        leave.wait(30)
        shutil.rmtree(folder)


def test_a_second_worker_waits_for_the_first(tmp_path, capfd):
    spawn = multiprocessing.get_context("spawn")
    inside, leave, second_in = spawn.Event(), spawn.Event(), spawn.Event()
    first = spawn.Process(target=hold, args=(tmp_path / "p", inside, leave))
    first.start()
    assert inside.wait(30)
    second = spawn.Process(target=hold, args=(tmp_path / "p", second_in, leave))
    second.start()
    assert not second_in.wait(1.5)
    leave.set()
    assert second_in.wait(30)
    first.join()
    second.join()
    assert "another process works on this; waiting" in capfd.readouterr().err
