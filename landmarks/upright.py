"""Which way up a found face is: both networks take heads that are upside down for upright ones now and then.

A face as it is turned is seen well by BlazeFace's search of its upright neighbourhood. One that is turned
otherwise is seen less well, and as it really is turned both networks see it clearly; where an upright one is
seen badly, behind masks and hands, they see nothing turned so clearly. What this gives is measured by
``python -m training.validate --conditions turns``.
"""

from __future__ import annotations

from dataclasses import replace

from landmarks.arrays import Pixels
from landmarks.blazeface import TURNED_DEGREES, BlazeFace
from landmarks.candidates import Candidate
from landmarks.centerface import CenterFace
from landmarks.geometry import Detection

WELL_SEEN = 0.8
"""Least score of BlazeFace's search of the neighbourhood where a face is turned as was said: 713 portraits
that were turned rightly all reached it. Faces behind medical masks and hands do not."""

CLEAR, PLAIN = 1.5, 0.9
"""What the scores of both networks must sum to for another turn, or BlazeFace's alone be, since CenterFace is
blind to some faces. Where another turn was right the sum was mostly 1.6 and more; of 258 upright faces that
were seen badly no other turn had more than 1.41 and 0.86."""

SURE, SURE_DEGREES = 0.87, 20
"""BlazeFace's first search is right about faces that it sees with this score, turned by no more than this."""

SMALLEST_PX = 40
"""Smaller faces are left as they are: BlazeFace does not see them well, however they are turned."""

_SEEN_BY = ("blazeface", "centerface")
_LEAST = 0.03


class TurnCheck:
    """Looks at faces again in all four quarter turns, where the one that was found is in doubt.

    Parameters
    ----------
    blazeface, centerface
    """

    def __init__(self, blazeface: BlazeFace, centerface: CenterFace) -> None:
        self._blazeface = blazeface
        self._centerface = centerface

    def checked(self, image: Pixels, detection: Detection) -> Detection:
        """The detection, or the same face turned as it looks clearly better; turned ones are placed anew.

        Parameters
        ----------
        image
            The photograph, RGB, (H, W, 3) uint8.
        detection
            In pixels of ``image``. What other detectors than BlazeFace and CenterFace found stays as it is.
        """
        face = Candidate.of(detection)
        if face.network not in _SEEN_BY or detection.box.side < SMALLEST_PX or _is_sure(detection):
            return detection
        now = self._blazeface.found_near(image, face, threshold=_LEAST)
        if now is not None and now.score >= WELL_SEEN:
            return _placed(detection, now) if abs(detection.angle) >= TURNED_DEGREES else detection
        clear = [(0.0, detection)]
        for quarter in (90, 180, 270):
            turned = replace(face, angle=(face.angle + quarter + 180) % 360 - 180, keypoints=())
            seen = self._blazeface.found_near(image, turned, threshold=WELL_SEEN)
            if seen is not None:
                both = seen.score + self._centerface.score_at(image, turned)
                if both >= CLEAR or seen.score >= PLAIN:
                    clear.append((both, _placed(detection, seen)))
        return max(clear, key=lambda one: one[0])[1]


def _placed(detection: Detection, seen: Candidate) -> Detection:
    """The detection where its face was seen when it was looked at again."""
    return replace(seen, score=detection.score, detector=detection.detector).detection()


def _is_sure(detection: Detection) -> bool:
    upright = abs(detection.angle) <= SURE_DEGREES
    return detection.detector == "blazeface" and detection.score >= SURE and upright
