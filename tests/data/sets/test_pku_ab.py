"""PKU-MMD-AB on a tree like the owners'."""

from pathlib import Path

import pytest

from tests.data.test_media import coded, write_video
from unbraid.data.sets.pku_ab import MUTUAL_ACTIONS, read
from unbraid.tracklet import Images, VideoSpan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("RGB_VIDEO", "Train_Label_PKU_final", "Split"):
        (tmp_path / folder).mkdir()
    for name in ("0002-L", "0002-M", "0003-R", "0009-L"):
        write_video(tmp_path / f"RGB_VIDEO/{name}.avi", map(coded, range(60)), "mpeg4")
    labels = tmp_path / "Train_Label_PKU_final"
    (labels / "0002-L.txt").write_text("3,0,9,1\n12,10,30,2\n51,40,70,2\n\n")  # the last one ends after the video
    (labels / "0002-M.txt").write_text("3,0,8,1\n")  # frames 0, 3, 6: too short
    (labels / "0003-R.txt").write_text("3, 20, 40, 1\n4,59,59,1\n5,0,59,1\n")
    (tmp_path / "Split/cross-subject.txt").write_text(
        "Training videos: \n0002-L, 0002-M, \nValidataion videos: \n0003-R"
    )
    (tmp_path / "subjects.csv").write_text("video,subject\n0002,P01\n0003-R,P02\n")
    return tmp_path


def test_a_tree_with_odd_cases(root: Path) -> None:
    with pytest.warns(UserWarning, match="pku-ab: 2 clips of fewer than 4 frames and 1 videos of neither split"):
        benchmark = read(root)
    path = root / "RGB_VIDEO/0002-L.avi"
    assert [(t.key, t.identity, t.media) for t in benchmark.train] == [
        ("0002-L-000", "P01", VideoSpan(path, (0, 3, 6, 9))),
        ("0002-L-002", "P01", VideoSpan(path, (40, 43, 46, 49, 52, 55, 58))),
    ]
    assert benchmark.train[1].labels == {"camera": "L", "action": "A51", "video": "0002"}
    test = {t.key: t for t in (*benchmark.query, *benchmark.gallery)}
    assert sorted(test) == ["0003-R-000", "0003-R-002"]
    assert {t.identity for t in test.values()} == {"P02"}
    assert next(iter(benchmark.protocols)) == "pku-ab/same/view+@1"


def test_folders_of_frames_and_skeletons_of_the_same_name(root: Path) -> None:
    (root / "PKU_Skeleton").mkdir()
    (root / "PKU_Skeleton/0003-R.txt").write_text("0.5 0.5 0.5\n")
    (root / "RGB_VIDEO/0003-R.avi").unlink()
    (root / "frames/0003-R").mkdir(parents=True)
    for number in range(1, 31):
        (root / f"frames/0003-R/{number}.jpg").touch()
    with pytest.warns(UserWarning, match="pku-ab: 2 clips"):
        benchmark = read(root)
    media = {t.key: t.media for t in (*benchmark.query, *benchmark.gallery)}
    names = {key: [p.name for p in found.paths] for key, found in media.items() if isinstance(found, Images)}
    assert names["0003-R-000"] == ["21.jpg", "24.jpg", "27.jpg", "30.jpg"]
    assert len(names["0003-R-002"]) == 10


def test_mutual_actions_may_be_others(root: Path) -> None:
    assert 12 in MUTUAL_ACTIONS
    with pytest.warns(UserWarning, match="left out"):
        benchmark = read(root, mutual_actions=frozenset({51}), step=1)
    assert [t.labels["action"] for t in benchmark.train] == ["A03", "A12", "A03"]


@pytest.mark.parametrize(
    ("file", "text", "error", "message"),
    [
        ("subjects.csv", None, FileNotFoundError, "does not say who is seen in which video: write a CSV"),
        ("subjects.csv", "a,b\n1,2\n", ValueError, r"has the columns \['a', 'b'\]; expected video and subject"),
        ("subjects.csv", "video,subject\n0002,P01\n", ValueError, "does not say who is seen in video 0003-R"),
        ("Split/cross-subject.txt", None, FileNotFoundError, r"cross-subject\.txt is missing"),
        ("Split/cross-subject.txt", "0002-L", ValueError, "line 1: '0002-L' is not as expected"),
        ("Split/cross-subject.txt", "Training videos:\n../x", ValueError, r"line 2: '\.\./x' is not as expected"),
        ("Split/cross-subject.txt", "Training videos:\n0002-L", ValueError, "expected the parts"),
        ("Train_Label_PKU_final/0003-R.txt", None, FileNotFoundError, r"holds no 0003-R\.txt in a folder named"),
        ("Train_Label_PKU_final/0003-R.txt", "1,2\n", ValueError, r"0003-R\.txt, line 1: '1,2' is not"),
        ("Train_Label_PKU_final/0003-R.txt", "1,2,3,1\na,b,c,d\n", ValueError, r"0003-R\.txt, line 2"),
    ],
)
@pytest.mark.filterwarnings("ignore:pku-ab")
def test_errors(root: Path, file: str, text: str | None, error: type[Exception], message: str) -> None:
    if text is None:
        (root / file).unlink()
    else:
        (root / file).write_text(text)
    with pytest.raises(error, match=message):
        read(root)
