"""Mask secrets in every form (`forms`), also where a form is broken over lines or cut short.

The time is linear in the text for every text and any number of secrets. A form is recognised by a window of a few
characters at its beginning or its end. At first only every n-th place of the text is looked at: n is so small that no
window fits between two of those places. Around a place that may belong to a window all windows are looked up.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import accumulate

from reconciler.secrets.forms import GAP, forms, parts, without_gaps
from reconciler.secrets.references import Secret

# The shortest value that is masked: shorter ones are easily guessed, and masking them would damage every text.
SHORTEST = 10
# The number of characters at the beginning or end of a form by which it is recognised when the rest is missing.
TELLING = 12
# The shortest form that is masked: shorter ones, such as a piece of base64, also occur by chance.
_SHORTEST_FORM = 6
# The number of tokens that are masked by value; all are masked by their pattern, which their digests do not match. To
# learn one costs as much as a request, and a reply is masked with the token of its own request first (`foreign_text`).
_MOST_TOKENS = 64
# Longer forms, such as a whole file, are searched for in pieces, which bounds the work at each place of the text.
_LONGEST_PIECE = 1024
# The number of characters of a text in pieces that are masked at once.
_AT_ONCE = 128 * 1024
# More characters than the parts of gaps at the beginning and at the end of a piece of text, which no pattern matches.
_UNFINISHED = 12
_TOKEN = re.compile(r"007e[A-Z](?:[A-Za-z0-9+/_-]|\\/|%2[BbFf]){20,}+(?:=|%3[Dd]){0,2}")

# The first place of a piece of text to be masked, and the place after its last.
Span = tuple[int, int]


class SecretMasker:
    """Masks the values that it has learned."""

    def __init__(self, shortest: int = SHORTEST, telling: int = TELLING) -> None:
        """Mask values of at least `shortest` characters, and forms cut short of which `telling` characters are left."""
        self._shortest = shortest
        self._values: set[str] = set()
        self._public: set[str] = set()
        self._tokens = 0
        self._forms = _Forms(min(shortest, _SHORTEST_FORM), telling)

    def learn(self, value: str) -> None:
        """Mask this value from now on."""
        if value in self._values:
            return
        for part in parts(value):
            if len(part) >= self._shortest and part not in self._values and self._is_learnt(part):
                self._values.add(part)
                self._learn_forms(part)

    def _learn_forms(self, value: str) -> None:
        for form in dict.fromkeys(forms(value)):
            compact = without_gaps(form)
            if len(form) >= min(len(value), _SHORTEST_FORM):
                self._forms.add(form)
            if compact != form and len(compact) >= _SHORTEST_FORM:
                self._forms.add(compact)

    def learn_all(self, secrets: Iterable[Secret]) -> None:
        """Mask the values of these secrets from now on."""
        for each in secrets:
            self.learn(each.reveal())

    def publish(self, text: str) -> None:
        """Show this public text even where it is a form of a secret; but never where it is the value of one."""
        self._public.add(text)

    def mask(self, text: str) -> str:
        """Return the text with every piece that is known to be secret replaced by `Secret.MASK`."""
        return self.mask_cut(text, len(text))

    def mask_cut(self, text: str, length: int, *others: SecretMasker) -> str:
        """Return the first `length` characters, without what this masker and the `others` know.

        More of the text is read only to find a secret at the cut.
        """
        maskers = (self, *others)
        read = text[: length + max(each._forms.longest for each in maskers)]
        return self._masked(text, length, _merged(span for each in maskers for span in each._spans(read)))

    def mask_pieces(self, pieces: Iterable[str], at_once: int = _AT_ONCE) -> Iterator[str]:
        """Yield the text that `pieces` make together, masked as `mask` masks it, about `at_once` characters at a time.

        A secret may begin in one piece and end in a later one. So a line, or the part of a long line up to a comma, is
        yielded only when no secret that begins in it can go on behind the text that has been read.
        """
        rest, most = "", at_once
        for piece in pieces:
            rest += piece
            if len(rest) > most:
                finished, rest = self._finished(rest)
                most = max(at_once, 2 * len(rest))
                yield finished
        yield self.mask(rest)

    def _finished(self, text: str) -> tuple[str, str]:
        """Return the beginning of a text whose masking no later text can change, masked; and the rest, not masked."""
        end = _last_cut(text, self._decided(text))
        spans = [*_merged(self._spans(text))] if end else []
        for start, after in reversed(spans):
            if start < end < after:
                end = _last_cut(text, start)
        return self._masked(text, end, spans), text[end:]

    def _masked(self, text: str, length: int, spans: Iterable[Span]) -> str:
        masked: list[str] = []
        done = 0
        for start, end in spans:
            if start >= length:
                break
            if (piece := text[start:end]) in self._public and piece not in self._values:
                continue
            masked += (text[done:start], Secret.MASK)
            done = end
        return "".join(masked) + text[done:length]

    def _decided(self, text: str) -> int:
        """Return the place before which no form begins that later text could complete."""
        if not self._forms.longest:
            return len(text)
        size = needed = self._forms.longest + _UNFINISHED
        while size < len(text) and len(without_gaps(text[-size:])) < needed:
            size *= 2
        return max(0, len(text) - size)

    def _is_learnt(self, part: str) -> bool:
        if _TOKEN.search(part) is None:
            return True
        self._tokens += 1
        return self._tokens <= _MOST_TOKENS

    def _spans(self, text: str) -> Iterator[Span]:
        if "007e" in text:
            yield from (match.span() for match in _TOKEN.finditer(text))
        if not self._forms.longest:
            return
        # The text as it is comes first: a secret may itself begin with characters that count as a gap.
        yield from self._forms.spans(text)
        compact = without_gaps(text)
        if len(compact) < len(text):
            # Not by their ends: a word before a gap would count as part of the form.
            found = list(self._forms.spans(compact, ends=False))
            if found:
                yield from _with_gaps(text, found)


def _last_cut(text: str, end: int) -> int:
    """Return the last place before `end` where a text can be cut: after a line break, else after a comma; 0 without one.

    Both are no part of a token, nor of a gap that is longer than one character.
    """
    return text.rfind("\n", 0, end) + 1 or text.rfind(",", 0, end) + 1


class _Forms:
    """The known forms, by the windows at which they begin and end."""

    def __init__(self, gram: int, window: int) -> None:
        self._gram = gram
        self._window = window
        # The distance of the places that are looked at, so that no window fits between two of them.
        self._step = window - gram + 1
        self._grams: set[str] = set()
        # By first window, the forms in order; a form shorter than a window is its own.
        self._heads: dict[str, list[str]] = {}
        # By last window, the forms in order, reversed.
        self._tails: dict[str, list[str]] = {}
        self._sizes: set[int] = set()
        self.longest = 0

    def add(self, form: str) -> None:
        """Search for this form from now on; a form that is too short is ignored."""
        if len(form) >= self._gram:
            # The pieces overlap, so that what is found of them is masked as one, and the last one is not short.
            for start in range(0, max(1, len(form) - self._window), _LONGEST_PIECE - self._window):
                self._add_piece(form[start : start + _LONGEST_PIECE])

    def _add_piece(self, piece: str) -> None:
        self.longest = max(self.longest, len(piece))
        self._enter(self._heads, piece, piece[: self._window])
        # The end of a shorter form cannot be distinguished from an ordinary word.
        if len(piece) >= 2 * self._window:
            self._enter(self._tails, piece[::-1], piece[-self._window :])

    def _enter(self, table: dict[str, list[str]], form: str, window: str) -> None:
        same = table.setdefault(window, [])
        place = bisect_left(same, form)
        if same[place : place + 1] == [form]:
            return
        insort(same, form)
        self._sizes.add(len(window))
        self._step = min(self._step, len(window) - self._gram + 1)
        self._grams.update([window[at : at + self._gram] for at in range(len(window) - self._gram + 1)])

    def spans(self, text: str, *, ends: bool = True) -> Iterator[Span]:
        """Yield the pieces of a text that are a form, or agree with its beginning or end for a window or more."""
        heads, tails = self._heads, self._tails if ends else {}
        for at in self._suspects(text):
            for size in self._sizes:
                window = text[at : at + size]
                if (same := heads.get(window)) is not None:
                    # A form shorter than a window is alone in its list, and is present as a whole.
                    yield at, at + _agreement(same, text[at : at + self.longest])
            window = text[at : at + self._window]
            if (same := tails.get(window)) is not None:
                end = at + self._window
                before = text[max(0, end - self.longest) : end]
                yield end - _agreement(same, before[::-1]), end

    def _suspects(self, text: str) -> Iterator[int]:
        """Yield the places at which a window may begin, each once, in order."""
        gram, grams, unseen = self._gram, self._grams, 0
        for place in range(0, len(text) - gram + 1, self._step):
            if text[place : place + gram] in grams:
                yield from range(max(unseen, place - self._window + gram), place + 1)
                unseen = place + 1


def _agreement(same: list[str], text: str) -> int:
    """Return the length of the longest common beginning of a text and one of some sorted forms.

    The form with it is a neighbour of the text in their order, so that many secrets with one beginning cost no more
    than few.
    """
    place = bisect_left(same, text)
    return max(_common(form, text) for form in same[max(0, place - 1) : place + 1])


def _common(form: str, text: str) -> int:
    """Return the length of the common beginning of two texts; by halving, since comparing slices is fast."""
    low, high = 0, min(len(form), len(text))
    while low < high:
        middle = (low + high + 1) // 2
        if form[low:middle] == text[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans in order, with those that overlap as one."""
    start = end = 0
    for first, after in sorted(spans):
        if first < end:
            end = max(end, after)
            continue
        if end:
            yield start, end
        start, end = first, after
    if end:
        yield start, end


def _with_gaps(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield spans of the text without gaps as spans of the text itself."""
    gaps = [match.span() for match in GAP.finditer(text)]
    # Where each stretch between gaps begins, in the text and in the text without gaps.
    begins = [0, *(end for _, end in gaps)]
    removed = [0, *accumulate(end - start for start, end in gaps)]
    compact = [begin - less for begin, less in zip(begins, removed, strict=True)]
    for start, end in spans:
        first = bisect_right(compact, start) - 1
        last = bisect_right(compact, end - 1) - 1
        yield start + removed[first], end - 1 + removed[last] + 1
