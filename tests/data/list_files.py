"""Small files and lists for the tests of readers."""

from pathlib import Path

KINETICS = "label,youtube_id,time_start,time_end,split\n"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def ucf_lists(
    folder: Path, train: str, test: str, classes: str = "1 Bowling\r\n2 YoYo\r\n"
) -> Path:
    write(folder / "classInd.txt", classes)
    write(folder / "trainlist01.txt", train)
    write(folder / "testlist01.txt", test)
    return folder
