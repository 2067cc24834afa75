"""Find the background label (nothing happens) by its name.

none, idle, NoGesture, no-gesture, _none_, Negative, "Doing other things", noFight next to fight, 无
"""

import re
import unicodedata
from collections.abc import Sequence

# Written as one word in lower case, without accents; the first list takes precedence.
_NOTHING = """
    none null nil nothing nothinghappens donothing doingnothing background bg bkg bkgd
    backgroundclass backgroundnoise backgroundscene backgroundactivity
    negative negatives negativeclass idle idling idlestate inactive inactivity noop
    nop noclass nolabel noone nobody nothinghere emptyclass emptyscene absent absence
    nichts hintergrund leerlauf rien arriereplan fond nada fondo niente nulla sfondo fundo niets
    achtergrond nic tlo ничего фон hicbirsey arkaplan ingenting intet bakgrund bakgrunn baggrund
    tausta eimitaan τιποτα φοντο latarbelakang tidakada semmi hatter nimic fundal pozadi pozadina
    无 無 没有 没有动作 背景 静默 なし 無し 何もしない 없음 배경 아무것도안함 لاشيء خلفية
    कुछनहीं पृष्ठभूमि ללא רקע không ไม่มี
"""
_REST = """
    rest resting restposition atrest neutral relax relaxed relaxing pause paused ruhe repos reposo
    riposo repouso rust spoczynek покои покой dinlenme vila 静止 休息 静息 정지 휴식 استراحة
    other others otherthing otherthings doingotherthings otheraction otheractions otheractivity
    otheractivities othergesture othergestures othermotion othermovement othermovements otherclass
    somethingelse anythingelse everythingelse else elsewhere misc miscellaneous unknown unlabeled
    unlabelled undefined unspecified unrelated irrelevant garbage distractor distractors empty
    sonstiges sonstige andere anderes autre autres autrechose otro otros otra otras otracosa altro
    altri outro outros outra overig overige anders inne inny другое прочее остальное diger muu
    annat andet annet 其他 其它 その他 기타 أخرى अन्य
"""
# Nouns that may follow a negation: no gesture, nonEvent, "kein Zeichen", sin gesto.
_NO = """
    no non not nota noany none without zero kein keine keinerlei ohne pas pasde aucun aucune sans
    nul nulle sin ningun ninguna ninguno nessun nessuna senza sem nenhum nenhuma geen zonder brak
    bez без нет ingen inget utan uden uten nicio fara χωρις
"""
_THINGS = """
    gesture gestures action actions activity activities event events motion motions move moves
    movement movements hand hands sign signs signal label class person people human object target
    interaction behavior behaviour detection command pose touch contact sound speech word anomaly
    change thing
    geste gestes gesten geste zeichen bewegung aktion handlung ereignis mouvement evenement
    gesto gestos accion acciones movimiento movimento azione azioni evento eventos eventi acao
    gebaar gebaren beweging actie gest gestu gestow ruch ruchu жест жеста жестов движения действия
    hareket gester rorelse bevegelse liike
"""
_ALONE = {"yok", "нет", "brak", "无动作", "無動作", "无手势", "無手勢", "动作なし"}


_ARTICLES = ("a", "an", "any", "the", "de", "des", "d", "eine")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_STRONG = _set(_NOTHING) | _ALONE
_WEAK = _set(_REST)
_NEGATIONS, _NOUNS = _set(_NO), _set(_THINGS)
_BENDS = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def backgrounds(labels: Sequence[str]) -> list[str]:
    """Return the labels that mean "nothing happens", the clearest first.

    `normal` counts if its opposite is a label, or if there is only one other; a negation of another
    label (noFight, non_violence) counts too.
    """
    strong, weak = [], []
    for label in labels:
        words = _words(label)
        whole = "".join(words)
        if whole in _STRONG or _is_negation(words, label, labels):
            strong.append(label)
        elif whole in _WEAK or _is_normal(whole, labels):
            weak.append(label)
    # none before negative before idle: in the order of the list.
    order = {word: index for index, word in enumerate(_NOTHING.split())}
    strong.sort(key=lambda label: order.get("".join(_words(label)), 4))
    return strong + weak


def _is_negation(words: Sequence[str], label: str, labels: Sequence[str]) -> bool:
    """Return whether a name is no, non or without, followed by a noun or another label's name."""
    whole = "".join(word for word in words if word not in _ARTICLES)
    others = {"".join(_words(other)) for other in labels if other != label}
    for index in range(1, len(whole)):
        before, after = whole[:index], whole[index:]
        if before not in _NEGATIONS:
            continue
        # nose and note begin with no as well: a noun or another label must follow.
        stem = {other for other in others if len(after) > 3 and other.startswith(after[:-1])}
        if after in _NOUNS or after in others or (len(words) > 1 and stem):
            return True
    return False


def _is_normal(whole: str, labels: Sequence[str]) -> bool:
    if whole not in ("normal", "regular"):
        return False
    others = {"".join(_words(label)) for label in labels} - {whole}
    opposite = any(other.startswith(("abnormal", "anomal", "irregular")) for other in others)
    return opposite or len(others) == 1


def _words(label: str) -> list[str]:
    """Return the words of a name in lower case without accents; numbers at its ends are dropped."""
    text = unicodedata.normalize("NFKC", label)
    apart = unicodedata.normalize("NFD", _BENDS.sub(" ", text).casefold())
    plain = "".join(char for char in apart if not "\u0300" <= char <= "\u036f")
    kept = "".join(
        char if unicodedata.category(char)[0] in "LMN" else " "
        for char in unicodedata.normalize("NFC", plain).replace("ı", "i")
    )
    words = kept.split()
    while len(words) > 1 and words[0].isdecimal():
        words = words[1:]
    while len(words) > 1 and words[-1].isdecimal():
        words = words[:-1]
    return words
